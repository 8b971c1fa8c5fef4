"""Encodings against hand-made maps."""

import numpy as np
import pytest

from model.click import Click
from model.inference.click_maps import ENCODINGS, encode


def test_a_disk_covers_pixel_centres_within_the_radius():
    positive, negative = encode("disk", [Click(2.5, 1.5)], 4, 5, radius=1.0)
    expected = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32)
    np.testing.assert_array_equal(positive, expected)
    assert not negative.any()


def test_polarity_decides_the_channel_and_overlap_does_not_add():
    clicks = [Click(3.5, 3.5), Click(4.5, 3.5), Click(0.5, 0.5, positive=False)]
    positive, negative = encode("disk", clicks, 8, 8, radius=2.0)
    assert positive.max() == 1.0
    assert positive[3, 5] == 1.0
    assert negative[0, 0] == 1.0
    assert negative.sum() == 6  # a quarter of a disk of radius 2: its corner is cut by the border


@pytest.mark.parametrize("click", [Click(-3.0, 4.0), Click(4.0, 11.0), Click(400.0, 400.0)])
def test_a_disk_outside_leaves_at_most_its_inner_part(click):
    positive, _ = encode("disk", [click], 8, 8, radius=2.0)
    assert not positive.any()


def test_varying_disks_shrink_with_the_order_of_clicks():
    clicks = [Click(20.5 + 40 * i, 20.5) for i in range(5)]
    positive, _ = encode("disk-varying", clicks, 41, 200, radius=5.0)
    areas = [positive[:, 40 * i : 40 * (i + 1)].sum() for i in range(5)]
    assert areas[0] > areas[1] > areas[2] > areas[3] == areas[4]
    assert areas[4] == encode("disk", clicks[4:], 41, 200, 5.0)[0].sum()


def test_gaussian_is_one_on_the_click_and_falls_as_defined():
    positive, _ = encode("gaussian", [Click(3.5, 3.5)], 8, 8, radius=2.0)
    assert positive[3, 3] == 1.0
    assert positive[3, 5] == pytest.approx(np.exp(-0.5))


def test_distance_is_zero_on_the_click_and_one_without_clicks():
    positive, negative = encode("distance", [Click(3.5, 3.5)], 8, 8, radius=4.0)
    assert positive[3, 3] == 0.0
    assert positive[3, 5] == pytest.approx(np.tanh(1.0))
    assert (negative == 1.0).all()


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_gives_two_float_maps_in_range(name):
    maps = encode(name, [Click(5.2, 6.9), Click(1.0, 1.0, positive=False)], 16, 24)
    assert maps.shape == (2, 16, 24)
    assert maps.dtype == np.float32
    assert maps.min() >= 0.0
    assert maps.max() <= 1.0


def test_an_unknown_encoding_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'rings'.*disk"):
        encode("rings", [], 4, 4)
