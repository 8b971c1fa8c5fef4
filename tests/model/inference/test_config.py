"""What a card may say of how its network is asked, and SimpleClick against its authors' procedure, step by step."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.click import Click
from model.engines.torch_cpu import TorchEngine
from model.inference.config import InferenceConfig, at_size
from model.networks import build
from model.versions.assemble import assemble
from model.versions.official.simpleclick import INFERENCE
from tests.model.official_checkpoints import weights_of


def test_a_card_without_says_the_default() -> None:
    assert InferenceConfig.of({"size": 384}) == InferenceConfig()
    given = {"flip": True, "large_size": 672}
    assert InferenceConfig.of({"inference": given}) == InferenceConfig(**given)


@pytest.mark.parametrize(
    ("inference", "complaint"),
    [
        ({"stretch": 1}, "stretch is 1; it must be true or false"),
        ({"expansion": "1.4"}, "expansion is '1.4'; it must be a number"),
        ({"expansion": float("nan")}, "expansion is nan"),
        ({"expansion": 0.5}, "expansion is 0.5"),
        ({"min_side": 0}, "min_side is 0"),
        ({"threshold": 1}, "threshold is 1"),
        ({"large_size": 670}, "large_size is 670; it must be null or a multiple of 32"),
        ({"large_from": -1}, "large_from is -1"),
        ({"flipped": True}, "flipped is unknown; use stretch, "),
        ([], "must be an object"),
    ],
)
def test_other_values_are_refused(inference: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        InferenceConfig.of({"inference": inference})


def test_another_size_is_for_images_of_any_size() -> None:
    assert at_size({"size": 384, "parent": None}, 256) == {"size": 256, "parent": None}
    card = at_size({"size": 448, "inference": {"flip": True, "large_size": 672, "large_from": 800}}, 672)
    assert card == {"size": 672, "inference": {"flip": True}}


SIZE = 224  # of SimpleClick here


def their_window(probability: Tensor, clicks: list[Click]) -> tuple[int, int, int, int]:
    """First and last row, first and last column: box of mask and positive clicks, times 1.4, 200 pixels at least."""
    height, width = probability.shape
    rows, cols = np.nonzero(probability.numpy() > 0.5)
    if not rows.size:
        return 0, height - 1, 0, width - 1
    rows = np.append(rows, [int(c.y) for c in clicks if c.positive])
    cols = np.append(cols, [int(c.x) for c in clicks if c.positive])
    ends = []
    for places, limit in ((rows, height), (cols, width)):
        first, last = int(places.min()), int(places.max())
        length = max(1.4 * (last - first + 1), 200)
        centre = 0.5 * (first + last)
        ends += [
            max(round(centre - 0.5 * length), 0),
            min(round(centre + 0.5 * length), limit - 1),
        ]
    return ends[0], ends[1], ends[2], ends[3]


def their_disks(clicks: list[Click], window: tuple[int, int, int, int]) -> Tensor:
    top, bottom, left, right = window
    disks = torch.zeros(2, SIZE, SIZE)
    rows, cols = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    for click in clicks:
        y = SIZE * (int(click.y) - top) / (bottom - top + 1)
        x = SIZE * (int(click.x) - left) / (right - left + 1)
        disks[0 if click.positive else 1][(rows - y) ** 2 + (cols - x) ** 2 <= 25] = 1
    return disks


def stretched(values: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(values[None], (height, width), mode="bilinear", align_corners=True)[0]


@torch.inference_mode()
def their_answer(
    network: torch.nn.Module, image: np.ndarray, clicks: list[Click], previous: Tensor
) -> Tensor:
    window = their_window(previous, clicks)
    inside = slice(window[0], window[1] + 1), slice(window[2], window[3] + 1)
    pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    seen = stretched(torch.cat([pixels, previous[None]])[(slice(None), *inside)], SIZE, SIZE)
    seen = torch.cat([seen, their_disks(clicks, window)])[None]
    logits = network(seen[:, :3], seen[:, 3:])
    seen = seen.flip(3)
    logits = (logits + network(seen[:, :3], seen[:, 3:]).flip(3)) / 2
    answer = torch.zeros_like(previous)
    shape = window[1] - window[0] + 1, window[3] - window[2] + 1
    answer[inside] = stretched(torch.sigmoid(logits)[0], *shape)[0]
    return answer


def test_every_click_is_answered_as_by_the_authors_procedure() -> None:
    network = build(
        "simpleclick",
        patch=16,
        dim=32,
        depth=8,
        heads=2,
        neck=(24, 32, 40, 48),
        channels=16,
        image=(224, 224),
    ).eval()
    network.load_state_dict(weights_of(network))
    noise = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    image = cv2.resize(noise, (500, 300), interpolation=cv2.INTER_CUBIC)
    _sharpen(network, image)
    card = {"encoding": {"name": "disk", "radius": 5.0}, "size": SIZE, "inference": INFERENCE}
    predictor = assemble((network, card), None, TorchEngine)
    clicks = [Click(220.5, 110.5), Click(60.5, 250.5, False), Click(410.5, 200.5), Click(30.5, 30.5)]
    before = np.zeros((300, 500), np.uint8)
    for box in (None, (150, 80, 220, 150), (380, 20, 480, 60), (0, 250, 40, 300)):
        if box:  # an object with soft edges, and undecided pixels elsewhere
            before[:] = 100
            before[box[1] : box[3], box[0] : box[2]] = 240
            before = cv2.blur(before, (15, 15))
        for count in range(1, len(clicks) + 1):
            ours = predictor.predict(image, clicks[:count], before)
            theirs = their_answer(network, image, clicks[:count], torch.from_numpy(before).float() / 255)
            assert theirs.std() > 0.1
            assert np.abs(ours / 255 - theirs.numpy()).max() < 0.02, (box, count)


@torch.no_grad()
def _sharpen(network: torch.nn.Module, image: np.ndarray) -> None:
    """Make the untrained network sure of its answer: a third of the image is object."""
    pixels = stretched(torch.from_numpy(image).permute(2, 0, 1).float() / 255, SIZE, SIZE)[None]
    logits = network(pixels, torch.zeros_like(pixels))
    scale = 4 / logits.std()
    network.head.conv_seg.weight.mul_(scale)
    network.head.conv_seg.bias.mul_(scale).sub_(scale * logits.quantile(0.67))
