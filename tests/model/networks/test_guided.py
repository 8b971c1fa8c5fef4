"""How the networks of RITM take in previous mask and clicks, option by option."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from model.networks.guided import Entry, GuidedNetwork, Scale, initialise

PREVIOUS, POSITIVE = 0, 1


class Plain(GuidedNetwork):
    """Decodes with one convolution of image and click features, each at stride 2."""

    backbone_prefix = ("body.",)

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        self.body, self.marks = nn.Conv2d(3, 1, 2, 2), nn.Conv2d(64, 1, 1)
        initialise(self)

    def decode(self, image: Tensor, marks: Tensor | None) -> tuple[Tensor, None]:
        logits = self.body(image)
        return (logits if marks is None else logits + self.marks(marks)), None


def change(entry: Entry, channel: int, low: float = 0.0, high: float = 1.0) -> float:
    """How much the logits change when one channel of the guide does."""
    torch.manual_seed(0)
    network = Plain(entry).eval()
    image, guide = torch.rand(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    guide[:, channel] = low
    other = guide.clone()
    other[:, channel] = high
    with torch.inference_mode():
        first, second = network(image, guide), network(image, other)
    assert first.shape == (1, 1, 32, 32)
    return float((first - second).abs().max())


@pytest.mark.parametrize(
    "entry",
    [Entry(), Entry(use_rgb_conv=True), Entry(conv_extend=True), Entry(use_leaky_relu=False)],
    ids=str,
)
def test_every_entry_lets_clicks_and_previous_mask_in(entry: Entry) -> None:
    assert change(entry, POSITIVE) > 1e-5
    assert change(entry, PREVIOUS) > 1e-5
    assert change(replace(entry, with_prev_mask=False), POSITIVE) > 1e-5
    assert change(replace(entry, with_prev_mask=False), PREVIOUS) == 0


def test_a_binary_previous_mask_is_cut_at_one_half() -> None:
    entry = Entry(binary_prev_mask=True)
    assert change(entry, PREVIOUS, 0.1, 0.5) == 0
    assert change(entry, PREVIOUS, 0.5, 0.6) > 1e-5


def test_the_image_is_normalised_as_the_entry_says() -> None:
    network = Plain(Entry(norm_mean_std=((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))))
    torch.testing.assert_close(network.normalize(torch.ones(1, 3, 1, 1)), torch.full((1, 3, 1, 1), 2.0))


def test_only_the_size_of_a_scale_counts() -> None:
    one, other = Scale(0.5), Scale(-0.5)
    torch.testing.assert_close(one(torch.ones(2)), other(torch.ones(2)))
