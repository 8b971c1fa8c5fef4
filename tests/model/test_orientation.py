"""Images are upright, as browsers show them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

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
