"""Every format and mode becomes upright RGB."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from model.image_file import DecodeError, decode
from tests.model.drawn_files import GREEN, RED, assert_picture, encoded, picture


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP", "JPEG", "GIF", "AVIF"])
def test_formats(form):
    options = (
        {"lossless": True}
        if form == "WEBP"
        else {"quality": 95, "subsampling": 0 if form == "JPEG" else "4:4:4"}
        if form in ("JPEG", "AVIF")
        else {}
    )
    assert_picture(decode(encoded(picture(), form, **options)), tolerance=40 if form == "GIF" else 12)


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


# The smallest usual depth that holds the brightest pixel: 8, 10, 12, 14 or 16 bits.
DEPTHS = [(65535, 255), (32768, 128), (12000, 187), (4095, 255), (3000, 187), (1000, 249), (200, 200)]


@pytest.mark.parametrize(("brightest", "expected"), DEPTHS)
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_by_the_bits_in_use(brightest, expected, form):
    values = np.zeros((8, 9), np.uint16)
    values[2, 3] = brightest
    pixels = decode(encoded(Image.fromarray(values), form))
    assert pixels.shape == (8, 9, 3)
    assert abs(int(pixels[2, 3, 0]) - expected) <= 1
    assert pixels[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("brightest", "expected"), DEPTHS)
@pytest.mark.parametrize("form", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_sixteen_bits_are_scaled_by_the_bits_in_use(brightest, expected, form, channels):
    values = np.zeros((8, 9, channels), np.uint16)  # OpenCV writes BGR
    values[2, 3, 2], values[5, 5, 0] = brightest, brightest // 2
    values[..., 3:] = 65535
    pixels = decode(cv2.imencode(form, values)[1].tobytes())
    assert np.abs(pixels[2, 3].astype(int) - (expected, 0, 0)).max() <= 1
    assert np.abs(pixels[5, 5].astype(int) - (0, 0, expected // 2)).max() <= 1


def test_transparent_colours_of_sixteen_bits_are_laid_over_white():
    values = np.full((8, 9, 4), 30000, np.uint16)
    values[2, 3, 3], values[2, 4, 3] = 0, 65535
    pixels = decode(cv2.imencode(".png", values)[1].tobytes())
    assert pixels[2, 3].tolist() == [255, 255, 255]
    assert np.abs(pixels[2, 4].astype(int) - 117).max() <= 1


def test_a_transparent_grey_of_sixteen_bits_is_laid_over_white():
    values = np.array([[0, 300, 65535]], np.uint16)
    pixels = decode(encoded(Image.fromarray(values), "PNG", transparency=300))
    assert pixels[0].tolist() == [[0] * 3, [255] * 3, [255] * 3]


def test_big_endian_grey_of_sixteen_bits():
    values = np.array([[0, 2048, 4095]], np.uint16)
    header = struct.pack(">2sHI", b"MM", 42, 8)
    tags = [
        (256, 3, 3),
        (257, 3, 1),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 3, 200),
        (278, 3, 1),
        (279, 3, 6),
    ]
    entries = b"".join(struct.pack(">HHIHH", tag, kind, 1, value, 0) for tag, kind, value in tags)
    data = header + struct.pack(">H", len(tags)) + entries + struct.pack(">I", 0)
    pixels = decode(data.ljust(200, b"\0") + values.astype(">u2").tobytes())
    assert pixels[0, :, 1].tolist() == [0, 128, 255]


def test_several_pictures_in_one_jpeg_give_the_first():
    data = encoded(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", (40, 24))], quality=95)
    assert Image.open(io.BytesIO(data)).format == "MPO"  # as phones write it
    assert_picture(decode(data), tolerance=30)


@pytest.mark.parametrize("form", ["TIFF", "GIF", "WEBP", "PNG", "AVIF"])
def test_the_first_page_or_frame_counts(form):
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(picture(), form, save_all=True, append_images=[Image.new("RGB", (40, 24))], **options)
    assert_picture(decode(data), tolerance=40)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_of_an_apng_the_first_frame_of_the_animation_counts(mode):
    stand_in = Image.new("RGB", (40, 24)).convert(mode)
    data = encoded(stand_in, "PNG", save_all=True, default_image=True, append_images=[picture(mode)])
    assert_picture(decode(data), tolerance=40)


def test_floats_with_gaps_are_scaled():
    values = np.array([[0.0, 0.5], [1.0, np.nan]], np.float32)
    assert decode(encoded(Image.fromarray(values), "TIFF"))[..., 0].tolist() == [[0, 128], [255, 0]]


def test_a_transparent_palette_is_laid_over_white():
    image = picture("P")
    corner = image.getpixel((30, 20))
    pixels = decode(encoded(image, "PNG", transparency=corner))
    assert pixels[20, 30].tolist() == [255, 255, 255]
    assert np.abs(pixels[4, 4].astype(int) - GREEN).max() <= 40


def test_a_transparent_colour_is_laid_over_white():
    assert decode(encoded(picture(), "PNG", transparency=RED))[20, 30].tolist() == [255, 255, 255]


def test_too_many_pixels_are_refused_from_the_header():
    data = encoded(Image.new("1", (4000, 3000)), "PNG")
    with pytest.raises(DecodeError, match="12 megapixels, more than the 10.*CLICKMASK_MAX_IMAGE_MEGAPIXELS"):
        decode(data, max_megapixels=10)


def claiming(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))


def test_a_bomb_is_refused_from_its_header():
    with pytest.raises(DecodeError, match="1e\\+04 megapixels, more than the 100"):
        decode(claiming(100_000, 100_000))


def test_the_limit_is_the_configured_one_and_not_pillows():
    with pytest.raises(DecodeError, match="truncated"):  # the size is let through
        decode(claiming(20_000, 9_500), max_megapixels=200)
    with pytest.raises(DecodeError, match="190 megapixels, more than the 180"):
        decode(claiming(20_000, 9_500), max_megapixels=180)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_damaged_file_is_decoded_or_refused(form):
    rng = np.random.default_rng(0)
    whole = encoded(picture(), form)
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(0, 256)
        cut = int(rng.integers(1, len(data) + 1))
        try:
            pixels = decode(bytes(data[:cut]), max_megapixels=1)
        except DecodeError:
            continue
        assert pixels.ndim == 3 and pixels.dtype == np.uint8


@pytest.mark.parametrize("form", ["WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_where_browsers_show_nothing(form, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, form)
    with pytest.raises(DecodeError, match="truncated or damaged|cannot be decoded|no image"):
        decode(data[: int(len(data) * share)])


def shades() -> Image.Image:
    """96x96 pixels of soft noise."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    return Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 3))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("missing", range(1, 12))
def test_a_jpeg_without_its_last_bytes_is_shown(options, mode, missing):
    data = encoded(shades().convert(mode), "JPEG", quality=95, **options)
    whole, cut = decode(data).astype(int), decode(data[:-missing]).astype(int)
    assert np.abs(cut - whole)[:-16].max() <= 12


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP"])
def test_of_half_a_file_the_upper_part_is_shown(form, caplog):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    options = {"interlace": 0} if form == "GIF" else {}
    data = encoded(noise.quantize() if form == "GIF" else noise, form, **options)
    rows = slice(72, 96) if form == "BMP" else slice(0, 24)  # bottom up
    whole, half = decode(data), decode(data[: len(data) // 2])
    assert half.shape == whole.shape
    np.testing.assert_array_equal(half[rows], whole[rows])
    assert (half != whole).any()
    assert "cut off" in caplog.text


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_other_files_have_the_pixels_that_pillow_finds(form, mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(shades().convert(mode), form, exif=exif)
    image = Image.open(io.BytesIO(data))
    if form == "PNG":  # browsers turn no WebP
        image = ImageOps.exif_transpose(image)
    np.testing.assert_array_equal(decode(data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("data", [b"", b"nonsense" * 200, b"\x00\x00\x01\x00" * 20])
def test_what_is_no_image_is_refused_with_what_to_do(data):
    with pytest.raises(DecodeError, match="no image in a known format.*convert it to JPEG or PNG"):
        decode(data)


def test_a_long_note_in_a_file_does_not_keep_its_picture_back():
    notes = PngImagePlugin.PngInfo()
    notes.add_text("history", "edited " * 500_000, zip=True)
    profile = bytes(3 << 20)
    data = encoded(picture(), "PNG", pnginfo=notes, icc_profile=profile)
    np.testing.assert_array_equal(decode(data), np.asarray(picture()))


@pytest.mark.parametrize(("alpha", "shown"), [(255, 50), (0, 50), ([0] + [128] * 15, 255)])
def test_a_bmp_is_opaque_where_nothing_of_it_would_be_seen(alpha, shown):
    pixels = np.full((4, 4, 4), 50, np.uint8)
    pixels[..., 3] = np.resize(alpha, (4, 4))
    data = cv2.imencode(".bmp", pixels)[1].tobytes()
    assert decode(data)[0, 0].tolist() == [shown] * 3


def test_a_file_of_a_foreign_kind_is_named():
    with pytest.raises(DecodeError, match="the file is SVG.*convert it to PNG"):
        decode(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')


def test_the_pixels_cannot_be_changed_by_those_who_share_them():
    with pytest.raises(ValueError, match="read-only"):
        decode(encoded(picture(), "PNG"))[0, 0] = 0
