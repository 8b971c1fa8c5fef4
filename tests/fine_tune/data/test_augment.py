"""Augmentation changes image, truth and ignore together."""

import cv2
import numpy as np
import pytest

from fine_tune.data.augment import SMALL_AREA, SMALL_SIDE, augment, flatten, paste, shrink, squeeze
from tests.fine_tune.shape_scenes import shape_scene


@pytest.mark.parametrize("seed", range(30))
def test_augmentation_keeps_image_truth_and_ignore_together(seed):
    rng = np.random.default_rng(seed)
    scene = shape_scene(np.random.default_rng(1))
    scene.image[:] = 30
    scene.image[scene.truth] = 220  # now the image shows where the truth is
    changed = augment(scene, rng)
    assert changed.image.shape[:2] == changed.truth.shape == changed.ignore.shape
    assert changed.truth.sum() == scene.truth.sum()  # the crop never cuts the object
    grey = changed.image.mean(2)
    if (~changed.truth).any():
        assert grey[changed.truth].mean() > grey[~changed.truth].mean() + 50


def test_the_same_seed_augments_the_same_way():
    first, second = (
        augment(shape_scene(np.random.default_rng(2)), np.random.default_rng(9)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.image, second.image)


def test_a_pasted_object_is_in_image_and_truth_or_takes_from_the_truth():
    seen = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        base, other = shape_scene(np.random.default_rng(1)), shape_scene(np.random.default_rng(2))
        other.image[:] = 3  # a colour that the base does not have
        mixed = paste(base, other, rng)
        pasted = (mixed.image == 3).all(2)
        assert pasted.any()
        own = bool((mixed.truth & pasted).sum() == 0)
        seen.add(own)
        if own:
            np.testing.assert_array_equal(mixed.truth, base.truth & ~pasted)
        else:
            np.testing.assert_array_equal(mixed.truth, pasted)
    assert seen == {True, False}


def test_the_ground_of_a_flat_scene_has_one_colour():
    photos, deviations = 0, []
    for seed in range(40):
        scene = shape_scene(np.random.default_rng(seed), 160)
        flat = flatten(scene, np.random.default_rng(seed))
        np.testing.assert_array_equal(flat.truth, scene.truth)
        around = cv2.dilate(scene.truth.view(np.uint8), np.ones((9, 9), np.uint8)) > 0
        deviations.append(float(flat.image[~around].std(0).max()))
        inside = cv2.erode(scene.truth.view(np.uint8), np.ones((9, 9), np.uint8)) > 0
        photos += deviations[-1] == 0 and (flat.image[inside] == scene.image[inside]).all()
    assert max(deviations) < 4
    assert deviations.count(0) > 10
    assert photos > 3


def test_of_an_object_and_its_twin_one_is_meant():
    scene = shape_scene(np.random.default_rng(1), 160)
    scene.image[:] = 30
    scene.image[scene.truth] = 220
    for seed in range(10):
        mixed = paste(scene, scene, np.random.default_rng(seed))
        bright = (mixed.image > 128).all(2)
        assert bright[mixed.truth].mean() > 0.9  # the twin's edge is blended
        if cv2.connectedComponents(bright.view(np.uint8))[0] == 3:
            assert mixed.truth[bright].mean() < 0.9


@pytest.mark.parametrize("seed", range(10))
def test_a_shrunk_object_is_tiny_and_looks_like_itself(seed):
    scene, other = shape_scene(np.random.default_rng(seed)), shape_scene(np.random.default_rng(50))
    scene.image[:] = 30
    scene.image[scene.truth] = 220
    other.image[:] = 120
    small = shrink(scene, other, np.random.default_rng(seed))
    rows, cols = np.nonzero(small.truth)
    assert max(np.ptp(rows), np.ptp(cols)) <= SMALL_SIDE[1] + 1
    assert small.truth.sum() >= SMALL_AREA
    assert small.image[small.truth].mean() > 180
    assert small.image.shape == other.image.shape
    assert (small.image != other.image).any(-1).sum() < 0.5 * small.truth.size


@pytest.mark.parametrize("seed", range(6))
def test_squeezing_shortens_one_axis_of_everything(seed):
    scene = shape_scene(np.random.default_rng(1), 192)
    scene.image[:] = 30
    scene.image[scene.truth] = 220
    before = scene.truth.shape
    thin = squeeze(scene, np.random.default_rng(seed))
    after = thin.truth.shape
    assert thin.image.shape[:2] == thin.ignore.shape == after
    assert (after[0] == before[0]) != (after[1] == before[1])
    assert 0.3 * scene.truth.sum() < thin.truth.sum() < 0.75 * scene.truth.sum()
    assert thin.image[thin.truth].mean() > 180
