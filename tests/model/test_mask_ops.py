import cv2
import numpy as np
import pytest

from model.mask_ops import depth_of, iou, object_box


def test_object_box_ends_are_exclusive():
    mask = np.zeros((10, 12), bool)
    mask[3:5, 4:9] = True
    assert object_box(mask) == (4, 3, 9, 5)
    assert object_box(np.zeros((3, 3), bool)) is None


def test_iou_by_hand():
    one, two = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    one[:10, :10], two[:10, :20] = True, True
    assert iou(one, two) == pytest.approx(0.5)
    assert iou(one, two, ignore=two & ~one) == 1
    assert iou(one & two, ~two & one) == 0
    assert iou(np.zeros((3, 3), bool), np.zeros((3, 3), bool)) == 1


def test_diagonal_distances_are_exact():
    ring = np.ones((41, 41), bool)
    ring[20, 20] = False
    rows, columns = np.mgrid[0:41, 0:41]
    from_hole = np.hypot(rows - 20, columns - 20)
    to_border = np.minimum.reduce([rows, columns, 40 - rows, 40 - columns]) + 1
    np.testing.assert_allclose(depth_of(ring), np.minimum(from_hole, to_border), rtol=1e-6)


def test_depth_by_box_is_depth_of_the_whole_image():
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.random((60, 80)).astype(np.float32), (0, 0), 4)
    region = noise > np.quantile(noise, 0.7)
    region[:15], region[:, 70:] = False, False
    whole = cv2.distanceTransform(np.pad(region.view(np.uint8), 1), cv2.DIST_L2, 0)[1:-1, 1:-1]
    depth = depth_of(region)
    np.testing.assert_allclose(depth, whole, rtol=1e-6)
    np.testing.assert_array_equal(depth, np.sqrt(np.rint(depth**2)))  # as far as float32 goes, on every CPU
