"""Image files to RGB pixels: one way for every format and colour mode, upright, within limits.

The one reader of serving, training bundles and evaluation. What a browser shows is decoded, so that annotators and
the model see the same picture. Needs Pillow beside OpenCV.
"""

from __future__ import annotations

import io
import logging
import threading
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from model.errors import ClickmaskError
from model.file_kinds import foreign_kind
from model.orientation import orientation_of, upright

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners use of sixteen
STRIP = 512  # rows that are laid over white at a time
INFLATION = 1032  # bytes that one byte of a deflated stream can stand for at most
LONGEST_TEXT = 16 << 20  # bytes, unpacked
SCAN_OF_JPEG, END_OF_JPEG = b"\xff\xda", b"\xff\xd9"

_partial = threading.Lock()


class DecodeError(ClickmaskError, ValueError):
    """The bytes are no image that can be shown; the message says why."""


def decode(data: bytes, max_megapixels: float = 100.0) -> np.ndarray:
    """Decode an image file.

    The first page or frame counts. EXIF orientation is applied, as browsers do, and transparent pixels are laid over
    white. Of a JPEG, PNG, GIF or BMP that is cut off, what is there is decoded, the rest is grey or black.

    Values of 16 bits are scaled by the smallest of 8, 10, 12, 14 and 16 bits that holds the brightest pixel, since
    many cameras use fewer bits than the file has; floating-point values are scaled by the brightest pixel.

    Args:
        data: bytes of a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF file.
        max_megapixels: larger images are refused from their header, before any pixel is decoded.

    Returns:
        HxWx3 uint8 RGB, contiguous and read-only.

    Raises:
        DecodeError: another format, too large, or damaged.
    """
    Image.MAX_IMAGE_PIXELS = None  # Pillow's limit for all would come before ours
    # Colour profiles and editors' notes of some megabytes are usual.
    PngImagePlugin.MAX_TEXT_CHUNK = LONGEST_TEXT
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image, max_megapixels)
            pixels = np.ascontiguousarray(upright(_pixels(image, data), orientation_of(image, data)))
    except UnidentifiedImageError:
        raise DecodeError(foreign_kind(data) or _unknown()) from None
    except DecodeError:
        raise
    except Exception as error:  # over damaged files decoders stumble in every way there is
        raise DecodeError(f"the image file is truncated or damaged: {error}") from error
    pixels.setflags(write=False)
    return pixels


def read_image(path: Path, max_megapixels: float = 100.0) -> np.ndarray:
    """Read and decode an image file; see `decode`.

    Raises:
        DecodeError: it cannot be read or is no image; the message names the file.
    """
    try:
        return decode(path.read_bytes(), max_megapixels)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DecodeError(f"{path} cannot be read ({reason}): check the path and its permissions") from None
    except DecodeError as error:
        raise DecodeError(f"{path}: {error}") from None


def _unknown() -> str:
    return f"the file is no image in a known format ({', '.join(FORMATS)}): convert it to JPEG or PNG"


def _check_size(image: Image.Image, max_megapixels: float) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise DecodeError(
            f"the image has {megapixels:.4g} megapixels, more than the {max_megapixels:g} allowed "
            "(CLICKMASK_MAX_IMAGE_MEGAPIXELS)"
        )


def _pixels(image: Image.Image, data: bytes) -> np.ndarray:
    """Decode a file, or what is there of it; HxWx3 uint8, as they are stored."""
    try:
        return _decoded(image, data)
    except Exception as error:
        pixels = _what_is_there(image, data)
        if pixels is None:
            raise
        logger.warning("an image file is cut off (%s): what is missing is grey or black", error)
        return pixels


def _decoded(image: Image.Image, data: bytes) -> np.ndarray:
    """Decode by the quickest way that gives the pixels of Pillow."""
    if image.info.get("default_image"):  # an APNG that is only shown where animations are not known
        image.seek(1)
        return _rgb(image)
    rawmode = _rawmode(image)
    if ";16" in rawmode and image.mode in ("RGB", "RGBA", "LA"):  # Pillow keeps the upper eight bits alone
        pixels = _deep_colour(data)
    elif _is_plain(image, rawmode):  # in a third to two thirds of Pillow's time
        pixels = _opencv(data, cv2.IMREAD_COLOR_RGB)
    else:
        pixels = None
    fits = pixels is not None and pixels.shape[:2] == (image.height, image.width)
    return pixels if pixels is not None and fits else _rgb(image)


def _rawmode(image: Image.Image) -> str:
    """How a pixel lies in the file, in Pillow's words; "" where it does not tell."""
    assert isinstance(image, ImageFile.ImageFile), "it was opened from a file"
    args = image.tile[0][3] if image.tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args or "")


def _is_plain(image: Image.Image, rawmode: str) -> bool:
    """Tell whether OpenCV gives the very pixels of Pillow: for one opaque picture in grey or RGB of 8 bits."""
    if image.mode not in ("RGB", "L") or "transparency" in image.info:
        return False
    if image.format in ("JPEG", "MPO"):
        return True
    single = not getattr(image, "is_animated", False)
    return single and (image.format == "WEBP" or (image.format == "PNG" and rawmode in ("RGB", "L")))


def _opencv(data: bytes, flags: int) -> np.ndarray | None:
    """Decode with OpenCV; None where it cannot, as Pillow tells better what is wrong."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None


def _rgb(image: Image.Image) -> np.ndarray:
    """Decode with Pillow; HxWx3 uint8, as they are stored."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        pixels = _from_deep(values)
        if "transparency" in image.info:  # one shade of a PNG of 16 bits
            pixels[values == image.info["transparency"]] = 255
        return pixels
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        # Browsers take a BMP for opaque where all of it would be transparent.
        unmeant = image.format == "BMP" and layer.getchannel("A").getextrema() == (0, 0)
        return np.asarray(layer.convert("RGB")) if unmeant else _over_white(layer)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _over_white(layer: Image.Image) -> np.ndarray:
    """Lay an RGBA image over white, a strip at a time: large ones would take four copies at once."""
    width, height = layer.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, STRIP):
        strip = layer.crop((0, top, width, min(top + STRIP, height)))
        laid = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
        pixels[top : top + STRIP] = np.asarray(laid)[..., :3]
    return pixels


def _deep_colour(data: bytes) -> np.ndarray | None:
    """Decode colour of 16 bits a channel; None where OpenCV cannot."""
    values = _opencv(data, cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3 or values.shape[2] not in (3, 4):
        return None
    table = _table(int(values[..., :3].max()))
    colours = table[values[..., 2::-1]]
    if values.shape[2] == 3:
        return colours
    alpha = (values[..., 3] >> 8).astype(np.uint8)
    return _over_white(Image.fromarray(np.dstack([colours, alpha]), "RGBA"))


def _table(brightest: int) -> np.ndarray:
    """Make the table from 16-bit values to 8 bits, uint8[65536], for an image with this brightest pixel."""
    depth = next(bits for bits in DEPTHS if brightest < 1 << bits)
    values = np.arange(1 << 16, dtype=np.float32) * np.float32(255 / ((1 << depth) - 1))
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def _from_deep(values: np.ndarray) -> np.ndarray:
    """Scale grey of 16 or 32 bits or of floats, HxW, to HxWx3 uint8; negative values move the black point."""
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() < 1 << 16:
        grey = _table(int(values.max()))[values]
    else:
        deep = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
        deep -= min(float(deep.min()), 0.0)
        brightest = float(deep.max())
        deep *= 255.0 / brightest if brightest > 0 else 0.0
        grey = np.rint(deep, out=deep).astype(np.uint8)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _what_is_there(image: Image.Image, data: bytes) -> np.ndarray | None:
    """Decode a file that is cut off as far as it goes; None where a browser would show nothing of it."""
    if image.format in ("JPEG", "MPO"):
        # A cut may go through the header of a scan: then the scans before it are the picture.
        return _first_that_decodes(data + END_OF_JPEG, data[: data.rfind(SCAN_OF_JPEG)] + END_OF_JPEG)
    # A header that claims far more than the file can hold is no picture, and would cost memory.
    if image.format not in ("PNG", "GIF", "BMP") or len(data) * INFLATION < image.width * image.height // 8:
        return None
    with _partial:  # a switch for all of Pillow: who decodes meanwhile would come here, too
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return _first_that_decodes(data)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False


def _first_that_decodes(*files: bytes) -> np.ndarray | None:
    for data in files:
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return _decoded(image, data)
        except Exception as error:
            logger.debug("not decoded: %s", error)
    return None
