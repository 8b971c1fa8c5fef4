"""What of a new answer is taken over: early on, the parts that were clicked; later, the change that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from model.clicks import Click
from model.mask import THRESHOLD
from model.zoom import object_box

DOUBTFUL = 100  # of a map: outside the mask, and still a possibility for the network's next look
REACH = 0.05  # of the changed region's diagonal: how far from a change a click may lie and still mean it


def attached(previous: np.ndarray | None, current: np.ndarray, clicks: Sequence[Click]) -> np.ndarray:
    """Leave out parts that nobody asked for: of several like objects, a click means the one under it.

    Args:
        previous: HxW uint8 map before the last click, or None.
        current: HxW uint8 map after it.
        clicks: all clicks of the object.

    Returns:
        HxW uint8: `current`, at most `DOUBTFUL` in parts of its mask (connected at corners) that have no positive
        click and no pixel of the previous mask; `current` as it is where that would leave nothing.
    """
    mask = current >= THRESHOLD
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if len(outlines) < 2:  # far cheaper to see than to label
        return current
    _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    asked = {int(labels[click.pixel(*mask.shape)]) for click in clicks if click.positive}
    if previous is not None:
        asked.update(np.unique(labels[previous >= THRESHOLD]).tolist())
    if not asked - {0}:
        return current
    return np.where(np.isin(labels, [0, *asked]), current, np.minimum(current, DOUBTFUL))


def progressive(previous: np.ndarray, current: np.ndarray, click: Click) -> np.ndarray:
    """Take over from `current` only what the last click asks for.

    After FocalClick (arXiv 2204.02574): of all differences between the previous mask and the new one, only the
    connected region at the click is taken over.

    Args:
        previous, current: HxW uint8 maps before and after the click.
        click: the last one.

    Returns:
        HxW uint8: `current` near the click and where both agree on the mask, `previous` in far-off changes;
        `current` as it is where no change lies at the click.
    """
    changed = (previous >= THRESHOLD) != (current >= THRESHOLD)
    box = object_box(changed)
    if box is None:
        return current
    x0, y0, x1, y1 = box
    _, labels = cv2.connectedComponents(
        np.ascontiguousarray(changed[y0:y1, x0:x1]).view(np.uint8), connectivity=8
    )
    row, column = click.pixel(*previous.shape)
    meant = _labels_near(labels, row - y0, column - x0)
    if not meant.size:
        return current
    result = current.copy()
    part = result[y0:y1, x0:x1]
    rejected = (labels > 0) & ~np.isin(labels, meant)
    part[rejected] = previous[y0:y1, x0:x1][rejected]
    return result


def _labels_near(labels: np.ndarray, row: int, column: int) -> np.ndarray:
    """Labels of the changes within reach of (row, column), which may lie outside the array."""
    reach = max(round(REACH * float(np.hypot(*labels.shape))), 3)
    rows = slice(max(row - reach, 0), max(row + reach + 1, 0))
    columns = slice(max(column - reach, 0), max(column + reach + 1, 0))
    found = np.unique(labels[rows, columns])
    return found[found > 0]
