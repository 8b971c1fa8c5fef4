from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from backend.label_studio.mask_formats import bitmask
from tests.backend import recordings


def shapes() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.ones((1, 1), bool), np.zeros((3, 5), bool), rng.random((17, 31)) > 0.5, np.eye(9, dtype=bool)]


@pytest.mark.parametrize("mask", shapes())
def test_browsers_see_the_mask_in_the_alpha_channel(mask: np.ndarray) -> None:
    url = bitmask.encode(mask)
    assert url.startswith("data:image/png;base64,")
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert (image.format, image.mode, image.size) == ("PNG", "P", mask.shape[::-1])
    assert np.array_equal(np.asarray(image.convert("RGBA"))[..., 3], mask * np.uint8(255))


@pytest.mark.parametrize("mask", shapes())
def test_decoding_undoes_encoding(mask: np.ndarray) -> None:
    assert np.array_equal(bitmask.decode(bitmask.encode(mask), *mask.shape) > 0, mask)


def test_one_bit_a_pixel_is_small() -> None:
    mask = np.zeros((1080, 1920), bool)
    mask[200:800, 300:1500] = True
    assert len(bitmask.encode(mask)) < 3_000


def test_a_recorded_bitmask_of_the_editor_is_read() -> None:
    result = recordings.body("78_")["annotation"]["result"][0]
    alpha = bitmask.decode(result["value"]["imageDataURL"], 400, 600)
    assert 0.01 < (alpha > 0).mean() < 0.5


def url_of(array: np.ndarray, **options: object) -> str:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", **options)
    return bitmask.PREFIX + base64.b64encode(buffer.getvalue()).decode()


def test_an_image_without_transparency_is_shown_whole() -> None:
    assert bitmask.decode(url_of(np.zeros((4, 6, 3), np.uint8)), 4, 6).min() == 255


def test_base64_may_have_line_breaks_and_no_padding() -> None:
    mask = np.eye(3, 13, dtype=bool)
    url = bitmask.encode(mask)
    assert url.endswith("=")
    loose = url.rstrip("=")[:60] + "\r\n" + url.rstrip("=")[60:] + "\n"
    bitmask.check(loose, 3, 13)
    assert np.array_equal(bitmask.decode(loose, 3, 13) > 0, mask)


@pytest.mark.parametrize("kind", [np.uint8, np.bool_, np.uint16])
def test_the_transparent_shade_of_a_grey_image_is_left_out(kind: type) -> None:
    mask = np.eye(9, 12, dtype=bool)
    url = url_of(mask.astype(kind), transparency=0)
    assert np.array_equal(bitmask.decode(url, 9, 12) > 0, mask)
    with pytest.raises(ValueError, match="damaged"):
        bitmask.decode(url[:-36], 9, 12)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (bitmask.encode(np.ones((5, 6), bool)), "the bitmask is 6x5 but the image 4x4"),
        (bitmask.encode(np.ones((4, 4), bool))[:-40], "damaged|base64"),
        ("data:image/png;base64,AAAA", "PNG in a data URL"),
        ("data:image/jpeg;base64,AAAA", "PNG in a data URL"),
        ("data:image/png;base64,****", "base64"),
        ("", "PNG in a data URL"),
    ],
)
def test_what_is_no_bitmask_of_that_size_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        bitmask.decode(url, 4, 4)


@pytest.mark.parametrize("array", [np.ones((4, 4), np.uint8), np.ones(4, bool), np.ones((0, 4), bool)])
def test_only_masks_are_encoded(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="HxW bool"):
        bitmask.encode(array)
