"""Progressive merge on hand-made masks."""

import numpy as np

from model.click import Click
from model.inference import merge
from model.inference.zoom import Window, whole

WHOLE = whole((500, 500), 256)


def progressive(before: np.ndarray, after: np.ndarray, click: Click, window: Window) -> np.ndarray:
    """A merged copy of `after`."""
    result = after.copy()
    merge.progressive(before, result, click, window)
    return result


def maps() -> tuple[np.ndarray, np.ndarray]:
    """Before: one square. After: it lost its lower part, and two new squares appeared."""
    before = np.zeros((500, 500), np.uint8)
    before[50:250, 50:250] = 250
    after = before.copy()
    after[200:250, 50:250] = 20  # lost
    after[50:150, 350:450] = 240  # new on the right
    after[350:450, 350:450] = 230  # new below
    return before, after


def test_only_the_change_at_the_click_is_taken_over():
    before, after = maps()
    expected = before.copy()
    expected[50:150, 350:450] = 240
    np.testing.assert_array_equal(progressive(before, after, Click(400.0, 100.0), WHOLE), expected)


def test_a_negative_click_takes_away_at_its_place_only():
    before, after = maps()
    expected = before.copy()
    expected[200:250, 50:250] = 20
    np.testing.assert_array_equal(
        progressive(before, after, Click(150.0, 225.0, positive=False), WHOLE), expected
    )


def test_a_click_just_beside_a_change_means_it():
    before, after = maps()
    assert progressive(before, after, Click(400.0, 157.5), WHOLE)[100, 400] == 240


def test_two_changes_near_the_click_are_both_meant():
    before = np.zeros((200, 200), np.uint8)
    before[50:70, 50:70] = 250
    after = before.copy()
    after[50:70, [50, 53]] = 0  # they touch nowhere
    window = Window(40, 40, 56, 200, 200, 256)
    np.testing.assert_array_equal(progressive(before, after, Click(51, 60, positive=False), window), after)


def test_nothing_outside_the_window_is_looked_at():
    before, after = maps()
    after[:, :300] = before[:, :300]
    corner = Window(340, 40, 120, 500, 500, 256)
    result = progressive(before, after, Click(400.0, 100.0), corner)
    np.testing.assert_array_equal(result[:200], after[:200])
    np.testing.assert_array_equal(result[340:], after[340:])  # a change, but not where the maps may differ


def test_without_a_change_at_the_click_everything_is_taken_over():
    before, after = maps()
    np.testing.assert_array_equal(progressive(before, after, Click(100.0, 450.0), WHOLE), after)


def test_where_no_pixel_changes_sides_the_new_values_count():
    before = np.full((500, 500), 200, np.uint8)
    after = np.full((500, 500), 250, np.uint8)
    np.testing.assert_array_equal(progressive(before, after, Click(5, 5), WHOLE), after)
