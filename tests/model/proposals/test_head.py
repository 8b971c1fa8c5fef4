"""The head: shapes, peaks in image coordinates, and networks that cannot bear one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.networks import build
from model.proposals.head import Head, HeatMaps, UnsupportedNetwork, channels, encode, shrink
from tests.model.tiny_network import network


class OneSpot(torch.nn.Module):
    """A head that is hot at one cell, and expects objects of four cells."""

    def forward(self, features: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = features[-1].shape[-2:]
        logits = torch.full((1, 2, height, width), -9.0)
        logits[0, 1, 5, 7] = 3.0
        return logits, torch.full((1, 1, height, width), 2.0)


def test_peaks_are_in_pixels_of_the_image():
    maps = HeatMaps(build("lite0-fpn2"), OneSpot(), scale=2.0)  # type: ignore[arg-type]
    (peak,) = maps.peaks(np.zeros((50, 70, 3), np.uint8), 0.5, 10)
    assert (peak.x, peak.y, peak.label) == pytest.approx((7.5 * 4 / 2, 5.5 * 4 / 2, 1))
    assert peak.size == pytest.approx(4 * 4 / 2)


def test_head_answers_at_stride_four():
    net = build("lite0-fpn2").eval()
    features = encode(net, np.zeros((64, 90, 3), np.uint8))
    logits, size = Head(channels(net), 3)(features[::-1])
    assert logits.shape == (1, 3, 16, 24) and size.shape == (1, 1, 16, 24)


def test_large_images_are_bounded():
    seen, factors = shrink(np.zeros((3000, 1500, 3), np.uint8), 1.0)
    assert seen.shape == (1024, 512, 3) and factors == pytest.approx((512 / 1500, 1024 / 3000))


def test_other_networks_are_refused():
    with pytest.raises(UnsupportedNetwork, match="lite0-fpn"):
        channels(network())
