"""Two clicks at the edge of a small object speak for its whole edge.

Where an object is some tens of pixels across, the usual error is an outline a pixel too far out or in all around, and
a network gives way at the click alone: the next click would say the same a few pixels on. What it saves is in
docs/trials/training.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from model.click import Click
from model.mask_ops import THRESHOLD, depth_of

REACH = 96  # pixels: an object that reaches farther from the click is not small
NEAR = 0.2  # of the object's greatest depth: a click nearer than this is at the edge
NEAR_PIXELS = 1.5  # so is one so near, however small the object
MOST = 0.35  # of the area of the object: where more would go or come, more is wrong than the edge


def follow_edge(previous: np.ndarray, clicks: Sequence[Click]) -> np.ndarray:
    """Move the whole edge of a small object to where the last click says it is, before the network looks.

    It moves where an earlier click at the edge says the same, out or in, and none says the opposite: one click alone
    is about its own place, and an edge between clicks of both signs is right somewhere.

    Args:
        previous: HxW uint8 map, object from 128.
        clicks: all clicks of the object so far, the last one new; in pixels.

    Returns:
        `previous` itself where nothing moves; else a changed copy.
    """
    click = clicks[-1]
    row, column = click.pixel(*previous.shape)
    rows, cols = (slice(max(at - REACH, 0), at + REACH + 1) for at in (row, column))
    near = previous[rows, cols]
    mask = near >= THRESHOLD
    here = row - rows.start, column - cols.start
    if mask[here] == click.positive or not mask.any() or _reaches_on(mask, (rows, cols), previous.shape):
        return previous
    inside, outside = depth_of(mask), _distance_to(mask)
    limit = max(NEAR * float(inside.max()), NEAR_PIXELS)
    distance = float((outside if click.positive else inside)[here])
    earlier = [(c.positive, _within(c, previous.shape, (rows, cols))) for c in clicks[:-1]]
    signs_at_edge = {sign for sign, place in earlier if place and max(inside[place], outside[place]) <= limit}
    if distance > limit or signs_at_edge != {click.positive}:
        return previous
    moved = _moved(near, distance, outwards=click.positive)
    change = np.count_nonzero((moved >= THRESHOLD) ^ mask)
    if change > MOST * np.count_nonzero(mask):
        return previous
    result = previous.copy()
    result[rows, cols] = moved
    return result


def _moved(near: np.ndarray, distance: float, outwards: bool) -> np.ndarray:
    """Move all edges of a map (HxW uint8) by so many pixels, rounded up; how steep they are stays."""
    side = 2 * int(np.ceil(distance)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(near, disk) if outwards else cv2.erode(near, disk)


def _distance_to(mask: np.ndarray) -> np.ndarray:
    """Compute the distance of every pixel to the nearest true one; HxW bool -> HxW float32 in pixels."""
    found = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.sqrt(np.rint(found * found))  # as in `depth_of`: some CPUs are off by a bit


def _reaches_on(mask: np.ndarray, part: tuple[slice, slice], shape: tuple[int, ...]) -> bool:
    """Tell whether an object touches an edge of its part of an image where the image goes on."""
    rows, cols = part
    edges = (
        (rows.start > 0, mask[0]),
        (rows.stop < shape[0], mask[-1]),
        (cols.start > 0, mask[:, 0]),
        (cols.stop < shape[1], mask[:, -1]),
    )
    return any(goes_on and line.any() for goes_on, line in edges)


def _within(click: Click, shape: tuple[int, ...], part: tuple[slice, slice]) -> tuple[int, int] | None:
    """Find the pixel of a click in a part of the image; None where it lies elsewhere."""
    row, column = click.pixel(*shape)
    rows, cols = part
    if rows.start <= row < min(rows.stop, shape[0]) and cols.start <= column < min(cols.stop, shape[1]):
        return row - rows.start, column - cols.start
    return None
