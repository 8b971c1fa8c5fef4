"""Mask clean-up."""

import cv2
import numpy as np
import pytest

from model.click import Click
from model.inference import clean as clean_module
from model.inference.clean import remove_doubtful_parts, remove_small_regions


def blob() -> np.ndarray:
    """A 60x60 square with a pin-hole, and a speck beside it."""
    probability = np.zeros((100, 120), np.uint8)
    probability[20:80, 20:80] = 255
    probability[50:52, 50:52] = 0
    probability[5:7, 100:102] = 200
    return probability


def two_parts(left: int, right: int) -> np.ndarray:
    """Two squares, 40 pixels apart, of these values; soft around the right one."""
    probability = np.zeros((100, 200), np.uint8)
    probability[20:80, 20:80] = left
    probability[20:80, 120:180] = right
    probability[15:20, 120:180] = 100
    return probability


@pytest.mark.parametrize(
    ("left", "right", "x", "kept"),
    [
        (240, 180, 50, "left"),  # sure of what was clicked, in doubt elsewhere
        (180, 240, 150, "right"),
        (240, 225, 50, "both"),  # as sure of both: an object in two parts
        (180, 140, 50, "both"),  # sure of nothing
        (180, 240, 50, "both"),  # surer of what was not clicked
        (240, 180, 100, "both"),  # a click beside both
        (240, 0, 50, "left"),
    ],
)
def test_what_is_doubtful_beside_a_sure_part_goes(left, right, x, kept):
    answer = two_parts(left, right)
    remove_doubtful_parts(answer, Click(x + 0.5, 50.5))
    expected = two_parts(left, right)
    if kept == "left":
        expected[20:80, 120:180] = 0
    if kept == "right":
        expected[20:80, 20:80] = 0
    np.testing.assert_array_equal(answer, expected)


def test_nothing_is_taken_out_of_nothing():
    empty = np.zeros((10, 10), np.uint8)
    remove_doubtful_parts(empty, Click(5.0, 5.0))
    assert not empty.any()


def test_specks_and_pin_holes_go():
    mask = remove_small_regions(blob())
    expected = np.zeros((100, 120), bool)
    expected[20:80, 20:80] = True
    np.testing.assert_array_equal(mask, expected)


def test_what_was_clicked_stays():
    mask = remove_small_regions(blob(), [Click(101.0, 6.0), Click(51.0, 51.0, positive=False)])
    np.testing.assert_array_equal(mask, blob() >= 128)


def test_large_parts_and_holes_stay():
    probability = np.zeros((100, 100), np.uint8)
    probability[10:60, 10:60] = 255
    probability[20:40, 20:40] = 0
    probability[70:95, 70:95] = 128
    np.testing.assert_array_equal(remove_small_regions(probability), probability >= 128)


def test_the_largest_part_stays_however_small():
    probability = np.zeros((50, 50), np.uint8)
    probability[10:12, 10:12] = 255
    assert remove_small_regions(probability).sum() == 4


def test_a_bay_open_to_the_border_is_no_hole():
    probability = np.full((40, 40), 255, np.uint8)
    probability[:3, 20] = 0
    np.testing.assert_array_equal(remove_small_regions(probability), probability >= 128)


def test_empty_in_empty_out():
    assert not remove_small_regions(np.zeros((8, 9), np.uint8)).any()


def test_the_short_way_for_tidy_masks_changes_nothing(monkeypatch):
    rng, tidy = np.random.default_rng(0), 0
    for _ in range(200):
        field = cv2.GaussianBlur(rng.normal(size=(90, 120)).astype(np.float32), (0, 0), rng.uniform(1, 12))
        probability = np.where(field > np.quantile(field, rng.uniform(0.1, 0.95)), 255, 0).astype(np.uint8)
        short = remove_small_regions(probability)
        with monkeypatch.context() as patch:
            patch.setattr(clean_module, "_tidy", lambda part, limit: False)
            np.testing.assert_array_equal(short, remove_small_regions(probability))
        tidy += np.array_equal(short, probability >= 128)
    assert 20 < tidy < 180  # both ways were taken
