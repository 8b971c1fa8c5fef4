"""The click entry of the own networks."""

from __future__ import annotations

import torch

from model.networks.entry import IMAGENET_MEAN, IMAGENET_STD, ClickEntry, Normalize


def test_normalising_gives_the_mean_zero_and_the_deviation_one() -> None:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(
        Normalize()(torch.cat([mean, mean + std])).flatten(1).mean(1), torch.tensor([0.0, 1])
    )
    assert not Normalize().state_dict(), "nothing of it is stored with the weights"


def test_clicks_become_features_at_stride_2_that_start_small() -> None:
    torch.manual_seed(0)
    entry = ClickEntry(24)
    guide = torch.zeros(1, 3, 32, 32)
    with torch.inference_mode():
        quiet = entry(guide)
        guide[0, 1, 10:16, 10:16] = 1
        marked = entry(guide)
    assert marked.shape == (1, 24, 16, 16)
    difference = (marked - quiet).abs().amax(1)[0]
    assert difference[5:8, 5:8].min() > 0
    assert difference[:3, :3].max() == 0, "far from the click nothing changes"
    assert marked.abs().max() < 0.1
