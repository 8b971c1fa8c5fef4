"""Edges that follow clicks, on drawn disks."""

import cv2
import numpy as np
import pytest

from model.click import Click
from model.inference.edge import REACH, follow_edge
from model.mask_ops import THRESHOLD, iou

CENTRE = Click(60.5, 60.5)


def disk(radius: int, at: tuple[int, int] = (60, 60), shape: tuple[int, int] = (120, 120)) -> np.ndarray:
    """A map with a disk and a soft edge."""
    drawn = cv2.circle(np.zeros(shape, np.uint8), at, radius, 255, -1)
    return cv2.GaussianBlur(drawn, (3, 3), 0)


def mask(values: np.ndarray) -> np.ndarray:
    return values >= THRESHOLD


def just_inside(radius: int) -> Click:
    """A negative click on the last pixel of a disk, on its right."""
    row = mask(disk(radius))[60]
    return Click(float(np.flatnonzero(row)[-1]) + 0.5, 60.5, positive=False)


def just_outside(radius: int) -> Click:
    """A positive click on the first pixel above a disk."""
    column = mask(disk(radius))[:, 60]
    return Click(60.5, float(np.flatnonzero(column)[0]) - 0.5)


def cut(values: np.ndarray, click: Click) -> np.ndarray:
    """The map after a click that was obeyed at its own pixel alone."""
    after = values.copy()
    after[click.pixel(*values.shape)] = 255 if click.positive else 0
    return after


@pytest.mark.parametrize("radius", [6, 10, 20])
def test_a_second_negative_click_at_the_edge_moves_all_of_it_in(radius):
    first = Click(60.5, just_inside(radius).x, positive=False)
    before = cut(disk(radius), first)
    after = follow_edge(before, [CENTRE, first, just_inside(radius)])
    truth = mask(disk(radius - 1))
    assert iou(truth, mask(after)) > iou(truth, mask(before)) + 0.03
    assert not mask(after)[just_inside(radius).pixel(*after.shape)]


def test_a_second_positive_click_at_the_edge_moves_all_of_it_out():
    first = Click(just_outside(10).y, 60.5)
    before = cut(disk(10), first)
    after = follow_edge(before, [CENTRE, first, just_outside(10)])
    truth = mask(disk(11))
    assert iou(truth, mask(after)) > iou(truth, mask(before)) + 0.03


def test_one_click_at_the_edge_is_about_its_own_place():
    before = disk(10)
    assert follow_edge(before, [CENTRE, just_inside(10)]) is before
    assert follow_edge(before, [just_inside(10)]) is before  # on a mask that was accepted before


def test_an_edge_between_clicks_of_both_signs_stays():
    out, into = Click(60.5, just_inside(10).x, positive=False), Click(60.5, 48.5)
    before = cut(cut(disk(10), out), into)
    assert follow_edge(before, [CENTRE, out, into, just_inside(10)]) is before


def test_only_a_click_near_the_edge_moves_it():
    before = np.zeros((100, 120), np.uint8)
    before[30:70, 15:105] = 255  # its greatest depth is 20
    first = Click(20.5, 31.5, positive=False)
    before = cut(before, first)
    near, far = (Click(60.5, 30.5 + depth, positive=False) for depth in (2, 4))  # third and fifth row
    assert follow_edge(before, [CENTRE, first, near]) is not before
    assert follow_edge(before, [CENTRE, first, far]) is before


def test_a_large_object_keeps_its_edge():
    shape = (400, 400)
    before = disk(REACH, (200, 200), shape)
    first, last = Click(200.5, 105.5, positive=False), Click(295.5, 200.5, positive=False)
    assert mask(before)[first.pixel(*shape)]
    before = cut(before, first)
    assert mask(before)[last.pixel(*shape)]
    assert follow_edge(before, [Click(200.5, 200.5), first, last]) is before


def test_what_would_lose_a_third_of_the_object_stays():
    before = np.zeros((60, 60), np.uint8)
    before[28:31, 10:50] = 255  # three pixels thin: nothing but edge
    first, last = Click(15.5, 28.5, positive=False), Click(40.5, 28.5, positive=False)
    before = cut(before, first)
    assert follow_edge(before, [Click(30.5, 29.5), first, last]) is before


def test_objects_elsewhere_and_the_given_map_stay_as_they_are():
    first = Click(60.5, just_inside(10).x, positive=False)
    before = np.zeros((120, 400), np.uint8)
    before[:, :120] = cut(disk(10), first)
    before[40:80, 300:340] = 255
    kept = before.copy()
    after = follow_edge(before, [CENTRE, first, just_inside(10)])
    np.testing.assert_array_equal(before, kept)
    np.testing.assert_array_equal(after[:, 280:], before[:, 280:])
    assert mask(after)[:, :120].sum() < mask(before)[:, :120].sum() - 20


def test_an_object_at_the_border_of_the_image_moves_its_other_edges():
    before = disk(10, (60, 0))
    bottom = int(np.flatnonzero(mask(before)[:, 60])[-1])
    first, last = Click(60.5, bottom + 0.5, positive=False), Click(69.5, 1.5, positive=False)
    before = cut(before, first)
    after = follow_edge(before, [Click(60.5, 2.5), first, last])
    assert after is not before
    assert mask(after)[0, 60] and not mask(after)[bottom - 1, 55]
