"""Progressive merge on hand-made masks."""

import numpy as np

from model.clicks import Click
from model.merge import progressive


def maps() -> tuple[np.ndarray, np.ndarray]:
    """Before: one square. After: it lost its lower part, and two new squares appeared."""
    before = np.zeros((100, 100), np.uint8)
    before[10:50, 10:50] = 250
    after = before.copy()
    after[40:50, 10:50] = 20  # lost
    after[10:30, 70:90] = 240  # new on the right
    after[70:90, 70:90] = 230  # new below
    return before, after


def test_only_the_change_at_the_click_is_taken_over():
    before, after = maps()
    expected = before.copy()
    expected[10:30, 70:90] = 240
    np.testing.assert_array_equal(progressive(before, after, Click(80.0, 20.0)), expected)


def test_a_negative_click_takes_away_at_its_place_only():
    before, after = maps()
    expected = before.copy()
    expected[40:50, 10:50] = 20
    np.testing.assert_array_equal(progressive(before, after, Click(30.0, 45.0, positive=False)), expected)


def test_a_click_just_beside_a_change_means_it():
    before, after = maps()
    assert progressive(before, after, Click(80.0, 31.5))[20, 80] == 240


def test_without_a_change_at_the_click_everything_is_taken_over():
    before, after = maps()
    np.testing.assert_array_equal(progressive(before, after, Click(20.0, 90.0)), after)


def test_where_no_pixel_changes_sides_the_new_values_count():
    before = np.full((10, 10), 200, np.uint8)
    after = np.full((10, 10), 250, np.uint8)
    np.testing.assert_array_equal(progressive(before, after, Click(5, 5)), after)
