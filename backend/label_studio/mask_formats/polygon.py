"""Masks as Label Studio polygons and back.

A polygon is a list of [x, y] in percent of the image. A Label Studio polygon is one ring, and an object one polygon:
a region of its own for every part would stay in the annotation when a correction takes that part away. So a hole is
joined to the outline around it, and a part to the others, by a bridge, a pair of coinciding edges in opposite
directions, which every filling rule fills as if it were not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# Parts and holes below this share of the largest part are not worth a polygon.
_SPECK = 0.0005
# A polygon may leave the outline by no more than this share of a part's area per pixel of its outline, so that
# small and thin parts are not simplified away: at most 4 % of the area even if it were off everywhere.
_SLACK = 0.04
# Points of a ring among which a bridge to another is looked for.
_MOST_POINTS = 1000
# Edges times rows that a polygon may have beyond the number of pixels: bounds the memory for a hostile one.
_MOST_CROSSINGS = 1_000_000
# Percent; what lies further out is no place on an image.
_FARTHEST = 1e6


def from_mask(mask: np.ndarray, tolerance: float = 1.0) -> list[list[float]]:
    """Return a mask as one polygon; specks are left out.

    Args:
        mask: HxW bool.
        tolerance: how far, in pixels, a polygon may run from the outline; less for small parts.

    Returns:
        At least three [x, y] points, percent of the width and height; none for an empty mask.
    """
    height, width = mask.shape
    scale = np.array([width, height]) / 100
    rings = []
    for outline, *holes in _parts(mask):
        rings.append(_join(_simplify(outline, tolerance), [_simplify(hole, tolerance) for hole in holes]))
    if not rings:
        return []
    points: list[list[float]] = np.round(_join(rings[0], rings[1:]) / scale, 4).tolist()
    return points


def to_mask(points: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """Return the pixels whose centres lie inside a polygon (even-odd rule).

    Args:
        points: [x, y] in percent of the width and height; parts outside the image are cut off.

    Returns:
        HxW bool.

    Raises:
        ValueError: fewer than three points, one that is not a pair of finite numbers, a hostile zigzag, or no size.
    """
    if not (height and width):
        raise ValueError(
            "a polygon needs its image's size in pixels: give original_width and original_height"
        )
    ring = _pixels(points, height, width)
    rows, columns = _crossings(ring, height, width)
    # Every pixel right of an odd number of crossings is inside.
    flips = np.zeros((height, width + 1), np.uint8)
    np.bitwise_xor.at(flips, (rows, columns), np.uint8(1))
    return np.bitwise_xor.accumulate(flips, axis=1)[:, :width].view(np.bool_)


def check(points: Sequence[Sequence[float]]) -> None:
    """Raise ValueError for what are not three pairs of finite numbers at least."""
    _pixels(points, 1, 1)


def box(
    points: Sequence[Sequence[float]], height: int, width: int
) -> tuple[float, float, float, float] | None:
    """Return left, top, right, bottom around a polygon, pixels; None for one without an area.

    Raises:
        ValueError: `to_mask` would refuse it.
    """
    ring = _pixels(points, height, width)
    _check_crossings(ring, height, width)
    (left, top), (right, bottom) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
    return (left, top, right, bottom) if right > left and bottom > top else None


def covers(points: Sequence[Sequence[float]], shape: tuple[int, int], pixel: tuple[int, int]) -> bool:
    """Tell whether `to_mask` of these points, for an image of (height, width), has the pixel (row, column)."""
    ring = _pixels(points, *shape) - [0, pixel[0]]
    _, columns = _crossings(ring, 1, shape[1])
    return bool(np.count_nonzero(columns <= pixel[1]) % 2)


def _pixels(points: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    try:
        ring = np.array(points, np.float64)
    except (TypeError, ValueError, OverflowError):
        ring = np.empty(0)
    # NaN fails every comparison.
    if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3 or not (np.abs(ring) <= _FARTHEST).all():
        raise ValueError("a polygon is a list of at least three [x, y] pairs of numbers")
    return ring * [width / 100, height / 100]


def _parts(mask: np.ndarray) -> list[list[np.ndarray]]:
    """Return, for every part but specks, its outline and its holes: Nx2 int32 in half pixels, (x, y).

    A ring goes through the middle of every pixel edge between the part and what is around it, so that pixel centres
    are on the right side and diagonals are straight. The largest part comes first.
    """
    left, top, across, down = cv2.boundingRect(mask.view(np.uint8))
    if not across:
        return []
    crop = mask[top : top + down, left : left + across].view(np.uint8)
    # Each pixel becomes 2x2: OpenCV's contours run through pixels, and the parity tells on which side of one.
    double = np.repeat(np.repeat(crop, 2, axis=0), 2, axis=1)
    contours, tree = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parents = tree[0, :, 3]
    areas = np.array([cv2.contourArea(contour) for contour in contours])
    smallest = _SPECK * areas[parents < 0].max()
    parts: dict[int, list[np.ndarray]] = {}
    # Outlines come before holes, large ones first.
    for index in np.lexsort((-areas, parents >= 0)):
        if areas[index] >= smallest and (parents[index] < 0 or parents[index] in parts):
            ring = _ring(contours[index][:, 0], 2 * np.array([left, top]))
            parts.setdefault(index if parents[index] < 0 else parents[index], []).append(ring)
    return list(parts.values())


def _ring(contour: np.ndarray, offset: np.ndarray) -> np.ndarray:
    corners = (contour + 1) // 2
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    return (corners + np.roll(corners, -1, axis=0) + offset).astype(np.int32)


def _simplify(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the ring with fewer points, in pixels (float64)."""
    most = min(tolerance, _SLACK * cv2.contourArea(ring) / 4 / len(ring))
    simple = cv2.approxPolyDP(ring, 2 * most, True)[:, 0]
    return (simple if len(simple) >= 3 else ring) / 2


def _join(outline: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """Splice holes or parts into an outline, each by a bridge between the two nearest points."""
    for other in sorted(others, key=lambda ring: ring[:, 0].min()):
        at, start = _nearest(outline, other)
        turned = np.roll(other, -start, axis=0)
        outline = np.concatenate([outline[: at + 1], turned, turned[:1], outline[at:]])
    return outline


def _nearest(outline: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return the indices of the two nearest points; of very long rings only some points are looked at."""
    skip, skip_other = len(outline) // _MOST_POINTS + 1, len(other) // _MOST_POINTS + 1
    gaps = np.square(outline[::skip, None] - other[None, ::skip_other]).sum(axis=2)
    at, start = np.unravel_index(gaps.argmin(), gaps.shape)
    return int(at) * skip, int(start) * skip_other


def _crossings(ring: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (row, column) of the first pixel centre right of every crossing of an edge with a row of centres."""
    ends = np.roll(ring, -1, axis=0)
    first, spans = _check_crossings(ring, height, width)
    edge = np.repeat(np.arange(len(ring)), spans)
    rows = np.arange(len(edge)) + (first - np.cumsum(spans) + spans)[edge]
    share = (rows + 0.5 - ring[edge, 1]) / (ends[edge, 1] - ring[edge, 1])
    x = ring[edge, 0] + share * (ends[edge, 0] - ring[edge, 0])
    return rows, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)


def _check_crossings(ring: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of centres that each edge crosses, and how many; ValueError for a hostile zigzag."""
    ends = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 1], ends[:, 1]), np.maximum(ring[:, 1], ends[:, 1])
    first = np.clip(np.ceil(low - 0.5), 0, height).astype(np.int64)
    spans = np.clip(np.ceil(high - 0.5), 0, height).astype(np.int64) - first
    if spans.sum() > _MOST_CROSSINGS + height * width:
        raise ValueError(f"a polygon of {len(ring)} points zigzags over the image; draw a simpler one")
    return first, spans
