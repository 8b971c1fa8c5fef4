"""The larger network: its pyramid of guides, what marks say, and the shapes of its answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from model.networks.lite0_fpn import Lite0FPN, Marks, guide_pyramid, upsample


@pytest.fixture(scope="module")
def network() -> Lite0FPN:
    torch.manual_seed(0)
    return Lite0FPN().eval()


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_every_channel_of_the_guide_counts(network: Lite0FPN, channel: int) -> None:
    image, guide = torch.rand(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(image, guide)
        guide[0, channel, 20:30, 20:30] = 1
        assert (network(image, guide) - before).abs().max() > 1e-5


def test_a_single_pixel_of_a_click_survives_to_the_coarsest_level() -> None:
    guide = torch.zeros(1, 3, 64, 64)
    guide[:, :, 17, 33] = 1
    pyramid = guide_pyramid(guide)
    assert [level.shape[2] for level in pyramid] == [32, 16, 8, 4, 2]
    assert [level[0, 1].max().item() for level in pyramid] == [1.0] * 5
    assert pyramid[-1][0, 0].max().item() == pytest.approx(1 / 32**2)  # the previous mask fades into a share


def test_marks_are_equal_everywhere_where_nothing_is_marked() -> None:
    torch.manual_seed(0)
    marks = Marks(8, 4).eval()
    features, guide = torch.rand(1, 8, 6, 6), torch.zeros(1, 3, 6, 6)
    with torch.inference_mode():
        nothing = marks(features, guide)
        guide[0, 1, 2, 2] = 1
        marked = marks(features, guide)
    assert nothing.flatten(2).std(2).max() < 1e-6
    assert marked.flatten(2).std(2).max() > 1e-3


def test_places_that_look_like_the_clicked_one_are_told() -> None:
    torch.manual_seed(0)
    marks = Marks(8, 3).eval()
    nn.init.zeros_(marks.mix[0].weight)
    seen: list[torch.Tensor] = []
    marks.mix.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    features, guide = torch.rand(1, 8, 1, 1).repeat(1, 1, 4, 4), torch.zeros(1, 3, 4, 4)
    features[..., 3, 3] = -features[..., 0, 0]
    guide[0, 1, 0, 0] = 1
    with torch.inference_mode():
        marks(features, guide)
    like = seen[0][0, 3:6]
    assert like[1, 1, 1] == pytest.approx(1, abs=1e-5)
    assert like[1, 3, 3] < 0.9
    assert like[[0, 2]].abs().max() == 0


def test_enlarging_keeps_the_mean() -> None:
    x = torch.rand(1, 1, 4, 4)
    assert upsample(x, 2).shape == (1, 1, 8, 8)
    assert upsample(torch.ones(1, 1, 2, 2), 8).std() == 0
