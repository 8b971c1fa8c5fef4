"""Masks as Label Studio polygons and back.

A polygon is a list of [x, y] in percent of the image. A Label Studio polygon is one ring, so a hole is joined to the
outline around it by a bridge, a pair of coinciding edges in opposite directions, which every filling rule fills with
the hole left open.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# Parts and holes below this share of the largest part are not worth a polygon.
_SPECK = 0.002
# A polygon may leave the outline by no more than this share of a part's area per pixel of its outline, so that
# small and thin parts are not simplified away: at most 4 % of the area even if it were off everywhere.
_SLACK = 0.04


def from_mask(mask: np.ndarray, tolerance: float = 1.0) -> list[list[list[float]]]:
    """Return one polygon for every part of a mask, the largest first; specks are left out.

    Args:
        mask: HxW bool.
        tolerance: how far, in pixels, a polygon may run from the outline; less for small parts.

    Returns:
        Polygons of at least three [x, y] points, percent of the width and height.
    """
    height, width = mask.shape
    parts = sorted(_parts(mask), key=lambda rings: -_area(rings[0]))
    if not parts:
        return []
    smallest = _SPECK * _area(parts[0][0])
    scale = np.array([width, height]) / 100
    polygons = []
    for outline, *holes in parts:
        if _area(outline) < smallest:
            break
        rings = [
            _simplify(ring, tolerance) for ring in (outline, *(h for h in holes if _area(h) >= smallest))
        ]
        ring = _join(rings[0], [hole for hole in rings[1:] if len(hole) >= 3])
        polygons.append(np.round(ring / scale, 4).tolist())
    return polygons


def to_mask(points: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """Return the pixels whose centres lie inside a polygon (even-odd rule).

    Args:
        points: [x, y] in percent of the width and height; parts outside the image are cut off.

    Returns:
        HxW bool.

    Raises:
        ValueError: fewer than three points, or one that is not a pair of finite numbers.
    """
    try:
        ring = np.array(points, np.float64)
    except (TypeError, ValueError):
        ring = np.empty(0)
    if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3 or not np.isfinite(ring).all():
        raise ValueError("a polygon is a list of at least three [x, y] pairs of numbers")
    rows, columns = _crossings(ring * [width / 100, height / 100], height, width)
    # Every pixel right of an odd number of crossings is inside.
    flips = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1)).astype(np.uint8) & 1
    inside = np.bitwise_xor.accumulate(flips.reshape(height, width + 1), axis=1)
    return inside[:, :width].astype(bool)


def _parts(mask: np.ndarray) -> list[list[np.ndarray]]:
    """Return, for every part, its outline and its holes: Nx2 int32 in half pixels, (x, y).

    A ring goes through the middle of every pixel edge between the part and what is around it, so that pixel centres
    are on the right side and diagonals are straight.
    """
    left, top, across, down = cv2.boundingRect(mask.astype(np.uint8))
    if not across:
        return []
    crop = mask[top : top + down, left : left + across].astype(np.uint8)
    # Each pixel becomes 2x2: OpenCV's contours run through pixels, and the parity tells on which side of one.
    double = np.repeat(np.repeat(crop, 2, axis=0), 2, axis=1)
    contours, tree = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_ring(contour[:, 0], 2 * np.array([left, top])) for contour in contours]
    parts = {index: [ring] for index, ring in enumerate(rings) if tree[0][index][3] < 0}
    for index, ring in enumerate(rings):
        if tree[0][index][3] >= 0:
            parts[tree[0][index][3]].append(ring)
    return list(parts.values())


def _ring(contour: np.ndarray, offset: np.ndarray) -> np.ndarray:
    corners = (contour + 1) // 2
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    return (corners + np.roll(corners, -1, axis=0) + offset).astype(np.int32)


def _area(ring: np.ndarray) -> float:
    return cv2.contourArea(ring) / 4


def _simplify(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the ring with fewer points, in pixels (float64)."""
    most = min(tolerance, _SLACK * _area(ring) / len(ring))
    return cv2.approxPolyDP(ring, 2 * most, True)[:, 0] / 2


def _join(outline: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Splice holes into an outline, each by a bridge between the two nearest points."""
    for hole in sorted(holes, key=lambda ring: ring[:, 0].min()):
        gaps = np.square(outline[:, None] - hole[None]).sum(axis=2)
        at, start = np.unravel_index(gaps.argmin(), gaps.shape)
        turned = np.roll(hole, -int(start), axis=0)
        outline = np.concatenate([outline[: at + 1], turned, turned[:1], outline[at:]])
    return outline


def _crossings(ring: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (row, column) of the first pixel centre right of every crossing of an edge with a row of centres."""
    ends = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 1], ends[:, 1]), np.maximum(ring[:, 1], ends[:, 1])
    first = np.clip(np.ceil(low - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(high - 0.5), 0, height).astype(np.int64)
    edge = np.repeat(np.arange(len(ring)), last - first)
    rows = (
        np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - (last - first), last - first) + first[edge]
    )
    share = (rows + 0.5 - ring[edge, 1]) / (ends[edge, 1] - ring[edge, 1])
    x = ring[edge, 0] + share * (ends[edge, 0] - ring[edge, 0])
    return rows, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
