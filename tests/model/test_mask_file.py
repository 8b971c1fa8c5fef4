"""Mask files."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from model.mask_file import MaskError, read_ids

IDS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_a_name_that_is_no_utf_8_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"\xe9t\xe9.png")
    path.write_bytes(cv2.imencode(".png", IDS)[1].tobytes())
    np.testing.assert_array_equal(read_ids(path), IDS)


def test_three_equal_channels_are_one(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.dstack([IDS] * 3))
    np.testing.assert_array_equal(read_ids(tmp_path / "grey.png"), IDS)


def test_in_a_palette_of_colours_the_indices_are_the_ids(tmp_path):
    image = Image.fromarray(IDS, "P")
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    image.save(tmp_path / "voc.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "voc.png"), IDS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"", "no image that OpenCV reads"),
        (b"hello", "no image that OpenCV reads"),
        (np.dstack([IDS, IDS, 2 * IDS]), "colour image"),
        (IDS.astype(np.uint16), "uint16"),
    ],
    ids=["missing", "empty", "text", "colour", "16 bits"],
)
def test_what_is_no_mask_is_named(content, said, tmp_path):
    path = tmp_path / "a.png"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        cv2.imwrite(str(path), content)
    with pytest.raises(MaskError, match=rf"a\.png.*{said}"):
        read_ids(path)
