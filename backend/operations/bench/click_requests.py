"""Makes pictures with one object each, and the requests of an annotator who clicks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from backend.label_studio.mask_formats import rle
from model.errors import ClickmaskError

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image" smart="false"><Label value="Object"/><Label value="Other"/></BrushLabels>
<KeyPointLabels name="kp" toName="image" smart="true"><Label value="Object"/><Label value="Other"/></KeyPointLabels>
</View>"""
# Where to click, as shares of the object's half axes from its centre; beyond 1 is outside.
CLICKS = ((0.0, 0.0, True), (0.6, 0.3, True), (1.4, 0.9, False), (-0.5, -0.6, True), (-1.3, 0.4, False))
PROJECT = 1

Record = dict[str, Any]


class BenchError(ClickmaskError, RuntimeError):
    """Something cannot be measured; the message says what."""


@dataclass(frozen=True)
class Picture:
    """Holds one picture.

    Attributes:
        jpeg: the file.
        width, height: pixels.
        centre, axes: of the object, x and y in pixels.
    """

    jpeg: bytes
    width: int
    height: int
    centre: tuple[float, float]
    axes: tuple[float, float]

    @staticmethod
    def make(width: int, height: int, seed: int) -> Picture:
        """Draw a picture; the same one for the same arguments."""
        pixels, centre, axes = photo(width, height, seed)
        return Picture(cv2.imencode(".jpg", pixels[..., ::-1])[1].tobytes(), width, height, centre, axes)


def photo(width: int, height: int, seed: int) -> tuple[np.ndarray, tuple[float, float], tuple[float, float]]:
    """Draw a picture with grain, and on it an object: HxWx3 uint8 RGB, its centre and half axes in pixels."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(
        rng.integers(60, 140, (5, 7, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    centre = (float(rng.uniform(0.4, 0.6) * width), float(rng.uniform(0.4, 0.6) * height))
    axes = (float(rng.uniform(0.15, 0.25) * width), float(rng.uniform(0.2, 0.3) * height))
    inside = _ellipse(width, height, centre, axes)
    colours = np.array(rng.integers(150, 255, 3), np.uint8)
    pixels = np.where(inside[..., None] > 0, colours, ground)
    grain = rng.integers(0, 24, (height, width, 1), np.uint8)
    return pixels + grain.clip(max=255 - int(pixels.max())), centre, axes


def body(
    picture: Picture,
    address: str,
    count: int,
    saved: Sequence[Record] = (),
    task: int = 1,
    annotator: str = "bench@example.com",
) -> Record:
    """Make what Label Studio sends for the first `count` of CLICKS.

    Args:
        address: of the picture, in the task's data.
        saved: accepted regions, which the task's draft holds and, once submitted, an annotation as well.
        task: its number; every task is clicked at places a little apart, as no two people click alike.
        annotator: e-mail of who clicks.
    """
    shift = np.random.default_rng(task).uniform(-0.05, 0.05, 2)
    clicks = [_keypoint(picture, number, task, shift) for number in range(count)]
    draft = {"id": 1, "user": annotator, "result": list(saved)}
    annotations = [{"id": 1, "completed_by": 1, "result": list(saved)}] if len(saved) > len(CLICKS) else []
    record = {"id": task, "data": {"image": address}, "annotations": annotations, "predictions": []}
    params = {"login": None, "password": None, "context": {"result": clicks}}
    return {
        "tasks": [{**record, "drafts": [draft]}],
        "project": f"{PROJECT}.1700000000",
        "label_config": CONFIG,
        "params": params,
    }


def other(region: Record) -> Record:
    """Give a region the other label, so that no click goes on from it."""
    return {**region, "value": {**region["value"], "brushlabels": ["Other"]}}


@lru_cache
def masks(count: int, width: int, height: int) -> tuple[Record, ...]:
    """Make accepted regions of the other label, of as many sizes and places as there are."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        centre = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
        axes = (float(rng.uniform(0.03, 0.2) * width), float(rng.uniform(0.03, 0.2) * height))
        mask = _ellipse(width, height, centre, axes) > 0
        value = {"format": "rle", "rle": list(rle.encode(mask)), "brushlabels": ["Other"]}
        made.append(
            {
                "id": f"saved{number}",
                "type": "brushlabels",
                "from_name": "brush",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "value": value,
            }
        )
    return tuple(made)


def _ellipse(width: int, height: int, centre: tuple[float, float], axes: tuple[float, float]) -> np.ndarray:
    inside = np.zeros((height, width), np.uint8)
    middle, half = (round(centre[0]), round(centre[1])), (round(axes[0]), round(axes[1]))
    cv2.ellipse(inside, middle, half, 0, 0, 360, 1, -1)
    return inside


def _keypoint(picture: Picture, number: int, task: int, shift: np.ndarray) -> Record:
    size = (picture.width, picture.height)
    dx, dy, positive = CLICKS[number]
    places = zip(picture.centre, (dx + shift[0], dy + shift[1]), picture.axes, size, strict=True)
    x, y = (float(100 * (centre + d * axis) / side) for centre, d, axis, side in places)
    return {
        "id": f"click{task}-{number}",
        "type": "keypointlabels",
        "from_name": "kp",
        "to_name": "image",
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "is_positive": positive,
        "value": {"x": x, "y": y, "width": 0.2, "labels": ["Object"], "keypointlabels": ["Object"]},
    }
