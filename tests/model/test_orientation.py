"""Images are upright, as browsers show them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from model.image_file import decode
from tests.model.drawn_files import assert_picture, encoded, picture

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


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{"quality": 90}, {"progressive": True, "subsampling": 0}])
def test_a_jpeg_has_the_pixels_that_pillow_finds(orientation, mode, options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(orientation).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise).convert(mode), "JPEG", exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert (decode(data) == np.asarray(upright)).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00nonsense",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x02\x00\x00\x00\x02x\x00\x00\x00\x00\x00\x00\x00",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x63\x00\x00\x00\x00\x00\x00",
    ],
    ids=["nonsense", "cut", "text", "99"],
)
def test_a_damaged_exif_block_is_ignored(exif):
    assert_picture(decode(encoded(picture(), "JPEG", quality=95, subsampling=0, exif=exif)))


def test_orientation_outside_of_exif_is_ignored_as_by_browsers():
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    data = encoded(picture(), "JPEG", quality=95, subsampling=0, xmp=xmp)
    assert Image.open(io.BytesIO(data)).getexif().get(0x0112) == 6  # what Pillow by itself would follow
    assert_picture(decode(data))


def test_a_tiff_is_turned_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](np.asarray(picture()))))
    assert_picture(decode(encoded(stored, "TIFF", exif=exif)))


def test_a_file_that_is_cut_off_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](np.asarray(picture()))))
    assert_picture(decode(encoded(stored, "JPEG", quality=95, subsampling=0, exif=exif)[:-2]))


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("options", [{}, {"lossless": True}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_is_never_turned(orientation, options, mode):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_picture(decode(encoded(picture(mode), "WEBP", exif=exif, **options)))


def block(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    """EXIF data with a directory of (tag, type, count, value), without the name that precedes it in a JPEG."""
    packed = [struct.pack(order + ("HHIH2x" if entry[1] == 3 else "HHII"), *entry) for entry in entries]
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, len(entries))
    return start + b"".join(packed) + bytes(4)


def jpeg(*segments: bytes) -> bytes:
    """The picture with these APP1 segments."""
    plain = encoded(picture(), "JPEG", quality=95, subsampling=0)
    made = (b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment for segment in segments)
    return plain[:2] + b"".join(made) + plain[2:]


def png(*blocks: bytes, mode: str = "RGB", late: bool = False) -> bytes:
    """The picture with these EXIF chunks, before its pixels or after them."""
    plain = encoded(picture(mode), "PNG")
    place = len(plain) - 12 if late else 33
    made = (
        struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
        for body in blocks
    )
    return plain[:place] + b"".join(made) + plain[place:]


def is_turned(data: bytes) -> bool:
    return decode(data).shape == (40, 24, 3)


TURN, NONE = (0x0112, 3, 1, 6), (0x0112, 3, 1, 1)


# What Chromium does with each.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("entries", "turned"),
    [
        ([TURN], True),
        ([(0x0213, 3, 1, 1), TURN], True),
        ([(0x0112, 4, 1, 6)], False),
        ([(0x0112, 9, 1, 6)], False),
        ([(0x0112, 2, 2, ord("6"))], False),
        ([(0x0112, 3, 2, 6)], False),
        ([(0x0112, 4, 1, 6), TURN], True),
        ([(0x0112, 3, 1, 0), TURN], True),
        ([(0x0112, 3, 1, 9), TURN], True),
        ([NONE, TURN], False),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_first_orientation_that_is_one_short_number_counts(entries, turned, order):
    exif = block(*entries, order=order)
    assert is_turned(jpeg(b"Exif\0\0" + exif)) == turned
    assert is_turned(png(exif)) == turned


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"A"])
def test_any_byte_may_follow_the_name_of_exif_in_a_jpeg(fill):
    assert is_turned(jpeg(b"Exif\0" + fill + block(TURN)))


def test_a_png_has_no_name_before_its_exif():
    assert not is_turned(png(b"Exif\0\0" + block(TURN)))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("blocks", "turned"),
    [
        ([block(TURN), block(NONE)], True),
        ([block(NONE), block(TURN)], False),
        ([block(), block(TURN)], False),
        ([block((0x0112, 4, 1, 6)), block(TURN)], False),
        ([b"no such block", block(TURN)], False),
    ],
    ids=["6-1", "1-6", "none-6", "long-6", "damaged-6"],
)
def test_the_first_exif_block_counts(blocks, turned):
    assert is_turned(jpeg(*(b"Exif\0\0" + exif for exif in blocks))) == turned
    assert is_turned(png(*blocks)) == turned


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_exif_behind_the_pixels_of_a_png_is_ignored(mode):
    assert not is_turned(png(block(TURN), mode=mode, late=True))


def test_exif_in_a_note_of_a_png_is_ignored():
    notes = PngImagePlugin.PngInfo()
    notes.add_text("exif", block(TURN).decode("latin-1"))
    assert not is_turned(encoded(picture(), "PNG", pnginfo=notes))
