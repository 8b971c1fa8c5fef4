"""Progressive merge on hand-made masks."""

import cv2
import numpy as np
import pytest

from model.click import Click
from model.inference import merge
from model.inference.zoom import Window, focus_crop, whole

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
    window = Window(40, 40, 56, 56, 200, 200, 256)
    np.testing.assert_array_equal(progressive(before, after, Click(51, 60, positive=False), window), after)


def test_nothing_outside_the_window_is_looked_at():
    before, after = maps()
    after[:, :300] = before[:, :300]
    corner = Window(340, 40, 120, 120, 500, 500, 256)
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


def literal(before: np.ndarray, after: np.ndarray, click: Click, window: Window) -> np.ndarray:
    """The rule as it is written down, on whole images."""
    rows, cols, _, _ = window.inside()
    changed = np.zeros(before.shape, bool)
    changed[rows, cols] = (before[rows, cols] >= 128) != (after[rows, cols] >= 128)
    if not changed.any():
        return after
    found = np.argwhere(changed)
    height, width = found.max(0) - found.min(0) + 1
    reach = round(max(merge.REACH * float(np.hypot(width, height)), merge.MIN_REACH * window.side))
    row, column = click.pixel(*before.shape)
    near = np.zeros(before.shape, bool)
    near[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1] = True
    inside = np.zeros(before.shape, bool)
    inside[rows, cols] = True
    near &= inside
    if not (changed & near).any():
        return after
    _, labels = cv2.connectedComponents((changed | near).view(np.uint8), connectivity=8)
    taken = labels == labels[np.unravel_index(int(near.argmax()), near.shape)]
    return np.where(changed & ~taken, before, after)


@pytest.mark.parametrize("seed", range(60))
def test_the_rule_is_followed_literally_in_any_region_that_holds_the_changes(seed):
    rng = np.random.default_rng(seed)

    def blobs() -> np.ndarray:
        noise = cv2.GaussianBlur(rng.random((90, 130)).astype(np.float32), (0, 0), rng.uniform(1, 6))
        return ((noise - noise.min()) / np.ptp(noise) * rng.uniform(150, 255)).astype(np.uint8)

    side = int(rng.integers(40, 150))
    window = Window(int(rng.integers(-20, 60)), int(rng.integers(-20, 40)), side, side, 90, 130, 64)
    rows, cols, _, _ = window.inside()
    before = blobs()
    after = before.copy()
    part = (
        np.s_[rows.start : rows.start + 30, cols.start + 5 : cols.start + 60]
        if seed % 2
        else np.s_[rows, cols]
    )
    after[part] = blobs()[part]
    after[: rows.start], after[rows.stop :] = before[: rows.start], before[rows.stop :]
    after[:, : cols.start], after[:, cols.stop :] = before[:, : cols.start], before[:, cols.stop :]
    click = Click(rng.uniform(cols.start, cols.stop), rng.uniform(rows.start, rows.stop))
    expected = literal(before, after, click, window)
    region = merge.progressive(before, result := after.copy(), click, window)
    np.testing.assert_array_equal(result, expected)
    differs = np.argwhere((before ^ result) & 128)
    if region is None:
        assert not len(differs)
        return
    assert (differs >= (region[0].start, region[1].start)).all()
    assert (differs < (region[0].stop, region[1].stop)).all()
    again = after.copy()
    merge.progressive(before, again, click, window, region)
    np.testing.assert_array_equal(again, expected)
    assert focus_crop(before, result, click, window, region=region) == focus_crop(
        before, result, click, window
    )
