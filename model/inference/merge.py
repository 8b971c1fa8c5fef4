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


def progressive(previous: np.ndarray, current: np.ndarray, click: Click, window: Window) -> None:
    """Take over from `current` only what the last click asks for, in place.

    What lies near the click and where both agree on the mask stays; far-off changes are undone. Where no change lies
    at the click, everything stays.

    Args:
        previous, current: HxW uint8 maps before and after the click.
        click: the last one.
        window: where the maps may differ.
    """
    rows, cols, _, _ = window.inside()
    before, after = previous[rows, cols], current[rows, cols]
    changed = before ^ after
    changed &= THRESHOLD  # the threshold is the highest bit
    row, column = click.pixel(*previous.shape)
    if _take(changed, row - rows.start, column - cols.start, MIN_REACH * window.side):
        after[:] = cv2.copyTo(before, changed & THRESHOLD, after)


def _take(changed: np.ndarray, row: int, column: int, min_reach: float) -> bool:
    """Mark, in place, the changed regions within reach of (row, column); tell whether there are any."""
    box = object_box(changed)
    if box is None:
        return False
    reach = round(max(REACH * float(np.hypot(box[2] - box[0], box[3] - box[1])), min_reach))
    top, left = max(row - reach, 0), max(column - reach, 0)
    near = changed[top : max(row + reach + 1, 0), left : max(column + reach + 1, 0)]
    if not near.any():
        return False
    near[:] = THRESHOLD  # joins all that it touches, so that one filling finds them
    cv2.floodFill(changed, None, (left, top), TAKEN, flags=8)
    return True
