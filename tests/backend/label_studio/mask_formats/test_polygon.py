from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backend.label_studio.mask_formats import polygon
from tests.backend import recordings

SEEDS = st.integers(0, 10_000)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


def drawn(points: list[list[float]], mask: np.ndarray) -> np.ndarray:
    return polygon.to_mask(points, *mask.shape)


def disc(height: int, width: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    return np.hypot(y - height / 2, x - width / 2) < radius


def smooth(seed: int, height: int, width: int, share: float) -> np.ndarray:
    """Return a mask of several smooth parts, some with holes."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    field = cv2.GaussianBlur(noise, (0, 0), 8)
    return field > np.quantile(field, 1 - share)


@settings(max_examples=60)
@given(SEEDS, st.integers(60, 300), st.integers(60, 300), st.floats(0.05, 0.6))
def test_polygons_of_smooth_masks_draw_the_mask(seed: int, height: int, width: int, share: float) -> None:
    mask = smooth(seed, height, width, share)
    assert iou(drawn(polygon.from_mask(mask), mask), mask) >= 0.98


@settings(max_examples=100)
@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_without_tolerance_every_pixel_comes_back(mask: np.ndarray) -> None:
    # Below 2,000 pixels nothing is small enough to be a speck.
    points = polygon.from_mask(mask, 0)
    assert bool(points) == bool(mask.any())
    if points:
        assert np.array_equal(drawn(points, mask), mask)


def test_polygon_of_a_smooth_object_has_few_points() -> None:
    points = polygon.from_mask(disc(480, 640, 150))
    assert 20 < len(points) < 80
    fine = polygon.from_mask(disc(480, 640, 150), tolerance=0.3)
    assert len(fine) > 1.5 * len(points)


def test_points_are_percent_of_the_image() -> None:
    mask = np.zeros((50, 200), bool)
    mask[10:20, 100:150] = True
    points = polygon.from_mask(mask)
    xs, ys = np.array(points).T
    assert (xs.min(), xs.max()) == (50, 75)
    assert (ys.min(), ys.max()) == (20, 40)


def test_parts_are_joined_in_one_ring_under_both_filling_rules_and_specks_left_out() -> None:
    mask = disc(300, 600, 100)
    mask[140:160, 20:60] = mask[20:40, 500:580] = True
    mask[5, 5] = True
    points = polygon.from_mask(mask)
    assert iou(polygon.to_mask(points, *mask.shape), mask) > 0.98
    assert not polygon.covers(points, mask.shape, (5, 5))
    for x, y in ((300, 150), (40, 150), (540, 30)):
        assert abs(winding(points, x / 6, y / 3)) == 1
    assert winding(points, 150 / 6, 150.3 / 3) == 0  # between two parts, beside the bridge


def test_pin_holes_are_closed() -> None:
    mask = disc(300, 300, 100)
    mask[150, 150] = False
    points = polygon.from_mask(mask)
    assert polygon.covers(points, mask.shape, (150, 150))


def winding(points: list[list[float]], x: float, y: float) -> int:
    """Return how often a ring goes around a point."""
    ring = np.array(points) - [x, y]
    angles = np.angle(ring[:, 0] + 1j * ring[:, 1])
    turns = np.diff(angles, append=angles[:1])
    return round(float(((turns + np.pi) % (2 * np.pi) - np.pi).sum()) / (2 * np.pi))


def test_holes_stay_open_in_one_ring_under_both_filling_rules() -> None:
    mask = disc(200, 400, 90)
    mask[80:120, 140:170] = mask[60:90, 200:240] = mask[110:130, 195:230] = False
    points = polygon.from_mask(mask)
    assert iou(polygon.to_mask(points, *mask.shape), mask) > 0.98
    for x, y in ((155, 100), (220, 75), (210, 120)):
        assert winding(points, x / 4, y / 2) == 0
    assert abs(winding(points, 185 / 4, 100 / 2)) == 1


def test_bridge_to_a_hole_is_short() -> None:
    mask = np.ones((100, 100), bool)
    mask[10:90, 40:95] = False
    points = polygon.from_mask(mask)
    length = np.hypot(*(np.array(points) - np.roll(points, 1, axis=0)).T).sum()
    # Both outlines, and the bridge twice: the hole is 5 pixels from the right edge, at most 12 from a corner.
    assert 400 + 270 < length < 400 + 270 + 2 * 12


def test_island_in_a_hole_is_there() -> None:
    mask = disc(300, 300, 140) & ~disc(300, 300, 90) | disc(300, 300, 30)
    assert iou(drawn(polygon.from_mask(mask), mask), mask) > 0.98


def test_memory_order_does_not_matter() -> None:
    mask = smooth(3, 100, 150, 0.3)
    assert iou(drawn(polygon.from_mask(mask.T), mask.T), mask.T) >= 0.98


def test_recorded_polygon_is_drawn_where_the_annotator_saw_it() -> None:
    (region,) = recordings.submitted("44_")
    height, width, points = region["original_height"], region["original_width"], region["value"]["points"]
    mask = polygon.to_mask(points, height, width)
    expected = np.zeros((height, width), np.uint8)
    cv2.fillPoly(
        expected, [np.round(np.array(points) * [width / 100, height / 100] - 0.5).astype(np.int32)], 1
    )
    # OpenCV also fills the pixels that the outline runs through.
    assert iou(mask, expected > 0) > 0.97
    assert polygon.covers(points, (height, width), (int(0.4 * height), int(0.33 * width)))


@given(SEEDS)
@settings(max_examples=40)
def test_one_pixel_is_told_as_the_mask_has_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-20, 120, (rng.integers(3, 12), 2)).tolist()
    mask = polygon.to_mask(points, 13, 17)
    told = [[polygon.covers(points, (13, 17), (row, column)) for column in range(17)] for row in range(13)]
    assert np.array_equal(mask, told)


def test_polygon_beyond_the_image_is_cut() -> None:
    assert polygon.to_mask([[-50, -50], [200, -50], [200, 200], [-50, 200]], 5, 7).all()
    assert not polygon.to_mask([[150, 150], [200, 150], [200, 200]], 5, 7).any()


@pytest.mark.parametrize(
    "points",
    [
        [],
        [[1, 2], [3, 4]],
        [[1, 2], [3, 4], [5]],
        [[1, 2, 3]] * 3,
        [["a", 2]] * 3,
        [[float("nan"), 0], [1, 1], [2, 0]],
        {"x": 1},
        "abc",
        None,
        5,
    ],
)
def test_malformed_points_are_refused(points: object) -> None:
    with pytest.raises(ValueError, match="at least three"):
        polygon.to_mask(points, 10, 10)  # type: ignore[arg-type]


def test_hostile_zigzag_is_refused_before_it_takes_memory() -> None:
    with pytest.raises(ValueError, match="zigzag"):
        polygon.to_mask([[50, 0], [50, 100]] * 20_000, 1000, 1000)
