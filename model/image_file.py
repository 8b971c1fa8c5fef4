"""Image files to RGB pixels: one way for every format and colour mode, upright, within limits.

The one reader of serving, training bundles and evaluation. Needs Pillow beside OpenCV.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from model.errors import ClickmaskError

log = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
ORIENTATION = 0x0112  # EXIF tag


class DecodeError(ClickmaskError, ValueError):
    """The bytes are no image that can be shown; the message says why."""


def decode(data: bytes, max_megapixels: float = 100.0) -> np.ndarray:
    """Decode an image file.

    The first page or frame counts. EXIF orientation is applied, as browsers do. Transparent pixels are laid over
    white, 16-bit values are scaled by their full range (or by the brightest pixel where only few bits are used).

    Args:
        data: bytes of a JPEG, PNG, WebP, BMP, TIFF or GIF file.
        max_megapixels: larger images are refused from their header, before any pixel is decoded.

    Returns:
        HxWx3 uint8 RGB, contiguous and read-only.

    Raises:
        DecodeError: another format, too large, truncated or damaged.
    """
    Image.MAX_IMAGE_PIXELS = None  # Pillow's limit for all would come before ours
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image, max_megapixels)
            pixels = _photo(image, data)
            if pixels is None:
                pixels = _rgb(image)
            pixels = np.ascontiguousarray(_upright(pixels, _orientation(image)))
    except UnidentifiedImageError:
        raise DecodeError(f"the file is no image in a known format ({', '.join(FORMATS)})") from None
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


def _check_size(image: Image.Image, max_megapixels: float) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise DecodeError(
            f"the image has {megapixels:.4g} megapixels, more than the {max_megapixels:g} allowed "
            "(CLICKMASK_MAX_IMAGE_MEGAPIXELS)"
        )


def _photo(image: Image.Image, data: bytes) -> np.ndarray | None:
    """Decode an ordinary JPEG with OpenCV: the same pixels as Pillow's in less than half the time.

    None for anything else, and for damaged files, of which Pillow can tell what is wrong.
    """
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return pixels if pixels is not None and pixels.shape[:2] == (image.height, image.width) else None


def _rgb(image: Image.Image) -> np.ndarray:
    """The decoded image, HxWx3 uint8, as it is stored."""
    if image.mode.startswith(("I", "F")):
        return _from_deep(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))


def _from_deep(values: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit or float grey -> RGB: by the type's range, or by the brightest pixel of a darker image."""
    deep = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    deep -= min(float(deep.min()), 0.0)
    brightest = float(deep.max())
    if values.dtype.kind in "iu" and 4096 <= brightest <= 65535:
        brightest = 65535.0
    grey = np.rint(deep * (255.0 / brightest if brightest > 0 else 0.0)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or none that can be read.

    Only of the EXIF block, since browsers look nowhere else; Pillow by itself turns TIFF files.
    """
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return int(exif.get(ORIENTATION, 1))
    except Exception as error:  # a damaged block is no reason to refuse the picture
        log.debug("EXIF block not read: %s", error)
        return 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """HxWx3 pixels as stored -> as they are to be seen (EXIF 2.3, tag Orientation)."""
    if orientation in (5, 6, 7, 8):
        pixels = cv2.transpose(pixels)
    flips = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # axis as in cv2.flip, after the transposition
    return cv2.flip(pixels, flips[orientation]) if orientation in flips else pixels
