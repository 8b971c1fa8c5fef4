"""What an annotator did not ask for leaves a probability map: doubtful parts elsewhere, specks, pin-holes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from model.click import Click
from model.inference.zoom import box_of_map
from model.mask_ops import THRESHOLD

MIN_AREA = 16  # pixels
MIN_SHARE = 0.004  # of the mask's area: smaller parts and holes cost runs in the RLE and freeze editors
SURE = 0.85  # mean probability of a part from which the network knows what was clicked
DOUBTFUL = 0.9  # of that: parts with less are another object, mostly one like it


def remove_doubtful_parts(probability: np.ndarray, click: Click) -> None:
    """Take out of the answer to a first click what the network is much less sure of than of the part under the click.

    Args:
        probability: HxW uint8, round(255 p); changed in place.
        click: positive, in pixels of the map.
    """
    box = box_of_map(probability)
    row, column = click.pixel(*probability.shape)
    if box is None or probability[row, column] < THRESHOLD:
        return
    x0, y0, x1, y1 = box
    inside = probability[y0:y1, x0:x1]
    count, labels = cv2.connectedComponents((inside >= THRESHOLD).view(np.uint8), connectivity=8)
    if count <= 2:  # the background and one part
        return
    sums = np.bincount(labels.ravel(), weights=inside.ravel(), minlength=count)
    mean = sums / np.bincount(labels.ravel(), minlength=count) / 255
    clicked = mean[labels[row - y0, column - x0]]
    if clicked >= SURE:
        doubtful = mean < DOUBTFUL * clicked
        doubtful[0] = False
        inside[doubtful[labels]] = 0


def remove_small_regions(probability: np.ndarray, clicks: Sequence[Click] = ()) -> np.ndarray:
    """Threshold a map and drop specks and pin-holes.

    A part with a positive click and a hole with a negative click stay, however small; so does the largest part.

    Args:
        probability: HxW uint8, round(255 p).
        clicks: in pixels of the map.

    Returns:
        HxW bool.
    """
    mask, box = np.zeros(probability.shape, bool), box_of_map(probability)
    if box is None:
        return mask
    x0, y0, x1, y1 = box
    part = np.greater_equal(probability[y0:y1, x0:x1], THRESHOLD, out=mask[y0:y1, x0:x1])
    height, width = probability.shape
    local = [(c.positive, c.pixel(height, width)) for c in clicks]
    inside = [(s, r - y0, c - x0) for s, (r, c) in local if y0 <= r < y1 and x0 <= c < x1]
    limit = max(MIN_AREA, MIN_SHARE * float(np.count_nonzero(part)))
    if _tidy(part, limit):
        return mask
    part &= ~_small(part, limit, [(r, c) for s, r, c in inside if s], keep_largest=True)
    padded = np.pad(~part, 1, constant_values=True)  # what touches the box's edge is background, no hole
    holes = _small(padded, limit, [(r + 1, c + 1) for s, r, c in inside if not s], keep_largest=False)
    part |= holes[1:-1, 1:-1]
    return mask


def _tidy(mask: np.ndarray, limit: float) -> bool:
    """Tell whether no part (connected at corners) and no hole of a bool mask is below `limit` pixels.

    Counted on the outlines, by Pick's theorem: fifty times as fast as labelling every pixel, and most masks are tidy.
    """
    view = np.ascontiguousarray(mask).view(np.uint8)
    outlines, tree = cv2.findContours(view, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts: dict[int, float] = {}
    for number, (outline, (_, _, _, parent)) in enumerate(zip(outlines, tree[0], strict=True)):
        inner = cv2.contourArea(outline)
        if parent < 0:
            parts[number] = parts.get(number, 0.0) + inner + len(outline) / 2 + 1
            continue
        hole = inner - len(outline) / 2 + 1  # its outline runs on the pixels around it
        if hole < limit:
            return False
        parts[parent] = parts.get(parent, 0.0) - hole
    return len(parts) < 2 or min(parts.values()) >= limit


def _small(mask: np.ndarray, limit: float, keep: Sequence[tuple[int, int]], keep_largest: bool) -> np.ndarray:
    """Find the components of a bool mask below `limit` pixels, except those under a (row, column) of `keep`."""
    connectivity = 8 if keep_largest else 4  # parts touch at corners, holes do not leak through them
    view = np.ascontiguousarray(mask).view(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(view, connectivity=connectivity)
    areas = stats[:, cv2.CC_STAT_AREA]
    drop = areas < limit
    drop[0] = False
    if keep_largest and len(areas) > 1:
        drop[1 + int(areas[1:].argmax())] = False
    for row, column in keep:
        drop[labels[row, column]] = False
    return drop[labels] if drop.any() else np.zeros_like(mask)
