"""Flat parts of images."""

import cv2
import numpy as np
import pytest

from model.inference.flat_ground import NOISE, roughen


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (384, 384), (1100, 40)])
def test_flat_ground_gets_a_little_noise_and_always_the_same(shape):
    flat = np.full((*shape, 3), 128, np.uint8)
    rough = roughen(flat)
    assert (flat == 128).all()
    assert rough.shape == flat.shape
    np.testing.assert_array_equal(rough, roughen(flat))
    if flat.size > 1000:
        assert abs(rough.std() - NOISE) < 0.3
        assert abs(rough.mean() - 128) < 0.3


def test_what_is_not_flat_stays_as_it_is():
    rng = np.random.default_rng(0)
    noisy = rng.integers(100, 140, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(roughen(noisy), noisy)
    noisy[:, 32:] = (10, 200, 30)
    rough = roughen(noisy)
    np.testing.assert_array_equal(
        rough[:, :34], noisy[:, :34]
    )  # two pixels beside the edge are not flat either
    assert (rough[:, 34:] != noisy[:, 34:]).any()


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_do_not_wrap(level):
    rough = roughen(np.full((50, 50, 3), level, np.uint8))
    assert np.abs(rough.astype(int) - level).max() < 20


def test_a_photo_that_is_shown_larger_than_it_is_is_not_flat():
    photo = np.random.default_rng(0).integers(100, 106, (48, 48, 3), np.uint8)
    shown = cv2.resize(photo, (384, 384), interpolation=cv2.INTER_LINEAR)
    assert (roughen(shown) != shown).any()
    np.testing.assert_array_equal(roughen(shown, 8), shown)


def test_a_photo_with_a_little_flat_sky_stays_as_it_is():
    photo = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    photo[:20] = 255
    np.testing.assert_array_equal(roughen(photo), photo)
    photo[:40] = 255
    assert (roughen(photo) != photo).any()
