"""Every format and mode becomes upright RGB."""

import io

import numpy as np
import pytest
from PIL import Image

from backend.decode import DecodeError, decode

RED, GREEN = (220, 30, 40), (20, 200, 60)


def picture(mode: str = "RGB") -> Image.Image:
    """40 wide, 24 high: red, with a green block in the top left corner."""
    image = Image.new("RGB", (40, 24), RED)
    image.paste(GREEN, (0, 0, 10, 8))
    return image.convert(mode)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def assert_picture(pixels: np.ndarray, tolerance: int = 12) -> None:
    assert pixels.shape == (24, 40, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[4, 4].astype(int) - GREEN).max() <= tolerance
    assert np.abs(pixels[20, 30].astype(int) - RED).max() <= tolerance


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP", "JPEG"])
def test_formats(form):
    options = (
        {"lossless": True} if form == "WEBP" else {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
    )
    assert_picture(decode(encoded(picture(), form, **options)))


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "P"])
def test_colour_modes(mode):
    form = "TIFF" if mode == "CMYK" else "PNG"
    assert_picture(decode(encoded(picture(mode), form)), tolerance=40 if mode == "P" else 12)


def test_a_cmyk_jpeg_keeps_its_colours():
    assert_picture(decode(encoded(picture("CMYK"), "JPEG", quality=95, subsampling=0)), tolerance=20)


def test_grey_and_bilevel_become_rgb():
    for mode in ("L", "1", "LA"):
        pixels = decode(encoded(picture(mode), "PNG"))
        assert pixels.shape == (24, 40, 3)
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_transparent_pixels_are_laid_over_white():
    image = picture("RGBA")
    image.putpixel((30, 20), (0, 0, 0, 0))
    assert decode(encoded(image, "PNG"))[20, 30].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("brightest", "expected"), [(65535, 255), (32768, 128), (1000, 255)])
def test_sixteen_bits_are_scaled_and_not_clipped(brightest, expected):
    values = np.zeros((8, 9), np.uint16)
    values[2, 3] = brightest
    pixels = decode(encoded(Image.fromarray(values), "PNG"))
    assert abs(int(pixels[2, 3, 0]) - expected) <= 1
    assert pixels[0, 0, 0] == 0


# What a viewer must do for each EXIF orientation, undone here to store the file (EXIF 2.3, tag 0x0112).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_exif_orientation_is_applied(orientation, mode):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(picture(mode)))))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_picture(decode(encoded(stored, "PNG", exif=exif)))


def test_too_many_pixels_are_refused_from_the_header():
    data = encoded(Image.new("1", (4000, 3000)), "PNG")
    with pytest.raises(DecodeError, match="12 megapixels, more than the 10"):
        decode(data, max_megapixels=10)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_truncated_file_is_refused(form):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, form)
    with pytest.raises(DecodeError, match="truncated or damaged"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"", b"<html></html>", b"%PDF-1.7 nothing"])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(DecodeError, match="no image in a known format"):
        decode(data)


def test_the_pixels_cannot_be_changed_by_those_who_share_them():
    with pytest.raises(ValueError, match="read-only"):
        decode(encoded(picture(), "PNG"))[0, 0] = 0
