"""The slim network keeps the contract of the networks, within its budget."""

import pytest
import torch
from torch import nn

from model.networks import build

BUDGET = 1.35e9  # multiply-adds at 384 pixels


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build("lite0-fpn2").eval()


def test_every_pixel_of_a_click_counts(network):
    image, guide = torch.rand(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(image, guide)
        for place in ((10, 10), (11, 10), (10, 11), (11, 11)):  # one of each place of a 2x2 cell
            marked = guide.clone()
            marked[0, 1][place] = 1
            assert (network(image, marked) - before).abs().max() > 1e-5


def test_multiply_adds_stay_within_the_budget():
    with torch.device("meta"):
        network = build("lite0-fpn2").eval()
        count = 0

        def tally(module, inputs, output):
            nonlocal count
            places = output.numel() // output.shape[1 if isinstance(module, nn.Conv2d) else -1]
            count += places * module.weight.numel()

        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(tally)
        network(torch.zeros(1, 3, 384, 384), torch.zeros(1, 3, 384, 384))
    assert 0.9e9 < count < BUDGET
