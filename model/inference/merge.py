"""Progressive merge: a late click changes the part it points at and nothing else.

After FocalClick (arXiv 2204.02574): of all differences between the previous mask and the new one, only the
connected regions near the click are taken over.
"""

from __future__ import annotations

import cv2
import numpy as np

from model.click import Click
from model.inference.zoom import Window
from model.mask_ops import THRESHOLD, object_box

# How far from a change a click may lie and still mean it: a share of the diagonal of all changes, and of the window's
# side at least, as a click on one side of a cell says something about its whole edge.
REACH = 0.05
MIN_REACH = 0.15
TAKEN = 1  # what `_take` writes over THRESHOLD

Region = tuple[slice, slice]  # rows and columns of an image


def progressive(
    previous: np.ndarray, current: np.ndarray, click: Click, window: Window, region: Region | None = None
) -> Region | None:
    """Take over from `current` only what the last click asks for, in place.

    What lies near the click and where both agree on the mask stays; far-off changes are undone. Where no change lies
    at the click, everything stays.

    Args:
        previous, current: HxW uint8 maps before and after the click.
        click: the last one.
        window: what the click was answered in.
        region: where in the window the maps may differ; None for all of it.

    Returns:
        Where they may differ now; None where they agree.
    """
    bounds = window.inside()[:2]
    rows, cols = region or bounds
    changed = previous[rows, cols] ^ current[rows, cols]
    changed &= THRESHOLD  # the threshold is the highest bit
    box = object_box(changed)
    if box is None:
        return None
    place = _shifted(box, rows.start, cols.start)
    # One pixel more on every side, as what the click reaches may touch a change from there.
    outer = _around(place, bounds)
    marks = np.zeros((outer[0].stop - outer[0].start, outer[1].stop - outer[1].start), np.uint8)
    top, left = place[0].start - outer[0].start, place[1].start - outer[1].start
    marks[top : top + box[3] - box[1], left : left + box[2] - box[0]] = changed[
        box[1] : box[3], box[0] : box[2]
    ]
    reach = round(max(REACH * float(np.hypot(box[2] - box[0], box[3] - box[1])), MIN_REACH * window.side))
    row, column = click.pixel(*previous.shape)
    if _take(marks, row - outer[0].start, column - outer[1].start, reach):
        np.copyto(current[outer], previous[outer], where=marks == THRESHOLD)
    return place


def _shifted(box: tuple[int, int, int, int], row: int, column: int) -> Region:
    """Return a box of a part of an image that begins at (row, column), as rows and columns of the image."""
    return slice(row + box[1], row + box[3]), slice(column + box[0], column + box[2])


def _around(place: Region, bounds: Region) -> Region:
    """One pixel more on every side, within bounds."""
    rows, cols = (
        slice(max(part.start - 1, limit.start), min(part.stop + 1, limit.stop))
        for part, limit in zip(place, bounds, strict=True)
    )
    return rows, cols


def _take(marks: np.ndarray, row: int, column: int, reach: int) -> bool:
    """Mark, in place, the changed regions within reach of (row, column); tell whether there are any."""
    top, left = max(row - reach, 0), max(column - reach, 0)
    near = marks[top : max(row + reach + 1, 0), left : max(column + reach + 1, 0)]
    if not near.any():
        return False
    near[:] = THRESHOLD  # joins all that it touches, so that one filling finds them
    cv2.floodFill(marks, None, (left, top), TAKEN, flags=8)
    return True
