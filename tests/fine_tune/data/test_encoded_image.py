"""Compressed images with their masks."""

import cv2
import numpy as np
import pytest

from fine_tune.data.encoded_image import EncodedImage


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_every_mask_comes_with_the_image_in_rgb():
    red = np.zeros((6, 8, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes BGR
    masks = [np.full((6, 8), value, np.uint8) for value in (1, 255)]
    encoded = EncodedImage("set", png(red), tuple(map(png, masks)))
    for index, mask in enumerate(masks):
        image, decoded = encoded.decode(index)
        assert (image == (200, 0, 0)).all()
        np.testing.assert_array_equal(decoded, mask)


def test_specks_come_back_where_there_are_any():
    specks = np.eye(6, 8, dtype=np.uint8) * 3
    image, mask = png(np.zeros((6, 8, 3), np.uint8)), png(np.zeros((6, 8), np.uint8))
    assert EncodedImage("set", image, (mask,)).decode_specks() is None
    decoded = EncodedImage("set", image, (mask,), specks=png(specks)).decode_specks()
    np.testing.assert_array_equal(decoded, specks > 0)


@pytest.mark.parametrize("mask", [b"no mask", png(np.zeros((5, 8), np.uint8))])
def test_a_damaged_image_is_named(mask):
    with pytest.raises(ValueError, match="'cats' is damaged"):
        EncodedImage("cats", png(np.zeros((6, 8, 3), np.uint8)), (mask,)).decode()
