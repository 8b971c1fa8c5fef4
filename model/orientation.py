"""Which way up an image is: the orientation that its EXIF block tells."""

from __future__ import annotations

import logging

import cv2
import numpy as np
from PIL import Image

logger = logging.getLogger(__name__)

ORIENTATION = 0x0112  # EXIF tag


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or none that can be read.

    Only of the EXIF block, since browsers look nowhere else; Pillow by itself turns TIFF files.
    """
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return int(exif.get(ORIENTATION, 1))
    except Exception as error:  # a damaged block is no reason to refuse the picture
        logger.debug("EXIF block not read: %s", error)
        return 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn HxWx3 pixels as they are stored to how they are to be seen (EXIF 2.3, tag Orientation)."""
    if orientation in (5, 6, 7, 8):
        pixels = cv2.transpose(pixels)
    flips = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # axis as in cv2.flip, after the transposition
    return cv2.flip(pixels, flips[orientation]) if orientation in flips else pixels
