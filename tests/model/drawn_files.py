"""Image files of one drawn picture."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

RED, GREEN = (220, 30, 40), (20, 200, 60)


def picture(mode: str = "RGB") -> Image.Image:
    """40 wide, 24 high: red, with a green block in the top left corner."""
    image = Image.new("RGB", (40, 24), RED)
    image.paste(GREEN, (0, 0, 10, 8))
    return image.convert(mode)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """The image as a file of a format."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def assert_picture(pixels: np.ndarray, tolerance: int = 12) -> None:
    """The pixels show `picture`, upright."""
    assert pixels.shape == (24, 40, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[4, 4].astype(int) - GREEN).max() <= tolerance
    assert np.abs(pixels[20, 30].astype(int) - RED).max() <= tolerance
