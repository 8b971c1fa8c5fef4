"""Progressive merge: a late click changes the part it points at and nothing else.

After FocalClick (arXiv 2204.02574): of all differences between the previous mask and the new one, only the
connected region at the click is taken over.
"""

from __future__ import annotations

import cv2
import numpy as np

from model.clicks import Click
from model.mask import THRESHOLD
from model.zoom import object_box

REACH = 0.05  # of the changed region's diagonal: how far from a change a click may lie and still mean it


def progressive(previous: np.ndarray, current: np.ndarray, click: Click) -> np.ndarray:
    """Take over from `current` only what the last click asks for.

    Args:
        previous, current: HxW uint8 maps before and after the click.
        click: the last one.

    Returns:
        HxW uint8: `current` near the click and where both agree on the mask, `previous` in far-off changes;
        `current` as it is where no change lies at the click.
    """
    changed = (previous ^ current) >= THRESHOLD  # the threshold is the highest bit
    box = object_box(changed)
    if box is None:
        return current
    x0, y0, x1, y1 = box
    count, labels = cv2.connectedComponents(
        np.ascontiguousarray(changed[y0:y1, x0:x1]).view(np.uint8), connectivity=8
    )
    row, column = click.pixel(*previous.shape)
    meant = _labels_near(labels, row - y0, column - x0)
    if not meant.size:
        return current
    result = current.copy()
    part = result[y0:y1, x0:x1]
    foreign = np.ones(count, bool)
    foreign[0], foreign[meant] = False, False
    rejected = foreign[labels]
    part[rejected] = previous[y0:y1, x0:x1][rejected]
    return result


def _labels_near(labels: np.ndarray, row: int, column: int) -> np.ndarray:
    """Labels of the changes within reach of (row, column), which may lie outside the array."""
    reach = max(round(REACH * float(np.hypot(*labels.shape))), 3)
    rows = slice(max(row - reach, 0), max(row + reach + 1, 0))
    columns = slice(max(column - reach, 0), max(column + reach + 1, 0))
    found = np.unique(labels[rows, columns])
    return found[found > 0]
