"""What annotators have painted and erased by hand, which drafts of brush masks tell stroke by stroke."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

_WANTED = 'strokes are a list of {"type", "relativePoints", "relativeStrokeWidth"}'
_FARTHEST = 1e4  # percent
_MOST_PIXELS = 1 << 31  # that strokes may pass over: bounds the time for hostile ones


def draw(mask: np.ndarray, strokes: Any) -> np.ndarray:
    """Return a mask with strokes painted on it and erased from it, one after the other, exact to about a pixel.

    Args:
        mask: HxW bool.
        strokes: ``value.touches``: each has points (x, y by turns) in percent of the width and height, and is as wide
            as a percentage of the width, with round ends.

    Returns:
        HxW bool.

    Raises:
        ValueError: these are no strokes, or too many.
    """
    (height, width), left = mask.shape, float(_MOST_PIXELS)
    pixels = mask.astype(np.uint8)
    for points, across, adds in _read(strokes):
        ring = points * [width / 100, height / 100]
        # OpenCV colours the pixels on the edge, too.
        thick = min(max(round(across / 100 * width) - 1, 1), 2 * max(mask.shape))
        lengths = np.minimum(np.linalg.norm(np.diff(ring, axis=0), axis=1), height + width)
        left -= float((lengths + thick).sum()) * min(thick, height)
        if left < 0:
            raise ValueError("the strokes of a brush pass over too many pixels; draw the mask again")
        cv2.polylines(pixels, [np.floor(ring).astype(np.int32)], False, int(adds), thick)
    return pixels.view(np.bool_)


def check(strokes: Any) -> None:
    """Raise ValueError for what are no strokes."""
    for _ in _read(strokes):
        pass


def _read(strokes: Any) -> Iterator[tuple[np.ndarray, float, bool]]:
    """Yield the points (Nx2, percent), the width (percent) and whether it adds, of each stroke."""
    if not isinstance(strokes, list):
        raise ValueError(_WANTED)
    for stroke in strokes:
        try:
            points = np.array(stroke["relativePoints"], np.float64).reshape(-1, 2)
            across = float(stroke["relativeStrokeWidth"])
        except (TypeError, KeyError, ValueError, OverflowError):
            raise ValueError(_WANTED) from None
        # NaN fails every comparison.
        if not ((np.abs(points) <= _FARTHEST).all() and 0 <= across <= _FARTHEST):
            raise ValueError(_WANTED)
        if len(points):
            yield points, across, stroke.get("type", "add") == "add"
