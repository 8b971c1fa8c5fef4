"""Image files to RGB pixels: one way for every format and colour mode, upright, within limits."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


class DecodeError(ValueError):
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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image, max_megapixels)
                pixels = _rgb(image)
    except UnidentifiedImageError:
        raise DecodeError(f"the file is no image in a known format ({', '.join(FORMATS)})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DecodeError(f"the image has more than {max_megapixels:g} megapixels") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DecodeError):
            raise
        raise DecodeError(f"the image file is truncated or damaged: {error}") from error
    pixels.setflags(write=False)
    return pixels


def _check_size(image: Image.Image, max_megapixels: float) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise DecodeError(
            f"the image has {megapixels:.0f} megapixels, more than the {max_megapixels:g} allowed"
        )


def _rgb(image: Image.Image) -> np.ndarray:
    """The decoded image, upright, HxWx3 uint8."""
    if image.mode.startswith(("I", "F")):
        return _from_deep(np.asarray(ImageOps.exif_transpose(image)))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
        image.info, upright = {}, ImageOps.exif_transpose(layer)
        if upright.size != layer.size or upright.tobytes() != layer.tobytes():
            image = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
        return np.array(image)
    upright = ImageOps.exif_transpose(image)
    return np.array(upright.convert("RGB"))


def _from_deep(values: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit or float grey -> RGB: by the type's range, or by the brightest pixel of a darker image."""
    deep = values.astype(np.float32)
    deep -= min(float(deep.min()), 0.0)
    brightest = float(deep.max())
    if values.dtype.kind in "iu" and 4096 <= brightest <= 65535:
        brightest = 65535.0
    grey = np.rint(deep * (255.0 / brightest if brightest > 0 else 0.0)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
