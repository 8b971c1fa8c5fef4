"""Footprints against exact IoUs."""

import cv2
import numpy as np
import pytest

from fine_tune.quality.footprint import Footprint


def ellipse(x: int, y: int, a: int, b: int) -> np.ndarray:
    mask = np.zeros((300, 400), np.uint8)
    cv2.ellipse(mask, (x, y), (a, b), 20, 0, 360, 1, -1)
    return mask > 0


@pytest.mark.parametrize(
    "other", [ellipse(200, 150, 80, 40), ellipse(230, 150, 80, 50), ellipse(60, 60, 30, 30)]
)
def test_close_to_the_exact_iou(other):
    own = ellipse(200, 150, 80, 50)
    exact = (own & other).sum() / (own | other).sum()
    assert Footprint.of(own).iou(other) == pytest.approx(exact, abs=0.04)


def test_the_same_mask_is_exactly_the_same():
    mask = ellipse(200, 150, 80, 50)
    assert Footprint.of(mask).iou(mask) == 1


def test_tiny_and_empty_masks():
    nothing, dot = np.zeros((5, 5), bool), np.zeros((5, 5), bool)
    dot[2, 3] = True
    assert Footprint.of(nothing).iou(nothing) == 1
    assert Footprint.of(nothing).iou(dot) == 0
    assert Footprint.of(dot).iou(nothing) == 0
    assert Footprint.of(dot).iou(dot) == 1


@pytest.mark.parametrize("cut", [np.s_[500:600, 1992:], np.s_[1992:, 500:600], np.s_[-1:, -1:]])
def test_an_object_at_the_far_edge_of_an_image_that_has_become_smaller(cut):
    mask, small = np.zeros((2000, 2000), bool), np.zeros((100, 100), bool)
    mask[cut], small[40:60, 40:60] = True, True
    assert Footprint.of(mask).iou(small) == pytest.approx(0, abs=0.01)


def test_small():
    assert len(Footprint.of(ellipse(200, 150, 80, 50)).cells) <= 100


def test_another_resolution_is_nearly_the_same():
    mask = ellipse(200, 150, 80, 50)
    large = np.repeat(np.repeat(mask, 5, 0), 5, 1)
    assert Footprint.of(mask).iou(large) == 1
    assert Footprint.of(large).iou(mask) > 0.97
