"""The correction of a proposal begins with its mask, surest in its middle."""

import cv2
import numpy as np
import pytest

from model.inference.predictor import BOX_LEVEL
from model.mask_ops import THRESHOLD
from model.proposals.correction import soften


def drawn(shape: tuple[int, int], radius: int) -> np.ndarray:
    canvas = np.zeros(shape, np.uint8)
    cv2.circle(canvas, (shape[1] // 2, shape[0] // 2), radius, 1, -1)
    return canvas > 0


@pytest.mark.parametrize("radius", [1, 6, 40, 400])
def test_the_object_is_the_mask(radius: int):
    mask = drawn((900, 1100), radius)
    found = soften(mask)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found >= THRESHOLD, mask)


@pytest.mark.parametrize("radius", [6, 40, 400])
def test_the_middle_is_surer_than_the_edge_on_both_sides(radius: int):
    line = soften(drawn((900, 1100), radius))[450].astype(int)
    middle, edge = 550, 550 + radius
    assert line[middle] > 180 > line[edge - 1] >= THRESHOLD > line[edge + 1] > 40
    assert (np.diff(line[middle:]) <= 1).all(), "it falls all the way"
    assert line[-1] == 0 or radius == 400


def test_thin_masks_stay_sure():
    line = np.zeros((100, 300), bool)
    line[50:53, 20:280] = True
    assert soften(line)[51, 150] > 160


def test_a_line_of_one_pixel_is_no_box():
    line = np.zeros((40, 60), bool)
    line[20, 10:50] = True
    assert soften(line).max() > BOX_LEVEL


def test_an_empty_mask_gives_an_empty_map():
    assert not soften(np.zeros((20, 30), bool)).any()


def test_a_mask_at_the_border_is_not_less_sure_there():
    mask = np.zeros((80, 80), bool)
    mask[:30, :30] = True
    assert soften(mask)[0, 0] > 200
