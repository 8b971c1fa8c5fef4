"""Mask clean-up."""

import cv2
import numpy as np

from model.click import Click
from model.inference import clean as clean_module
from model.inference.clean import remove_small_regions


def blob() -> np.ndarray:
    """A 60x60 square with a pin-hole, and a speck beside it."""
    probability = np.zeros((100, 120), np.uint8)
    probability[20:80, 20:80] = 255
    probability[50:52, 50:52] = 0
    probability[5:7, 100:102] = 200
    return probability


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
