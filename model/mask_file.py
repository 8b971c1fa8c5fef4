"""Mask files to maps of object ids: one reader of training bundles and evaluation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from model.errors import ClickmaskError

IGNORE = 255


class MaskError(ClickmaskError, ValueError):
    """A file is no mask; the message names it and says what one is."""


def read_ids(path: Path) -> np.ndarray:
    """Read a mask: HxW uint8, 0 background, 1..254 ids of objects, 255 ignored pixels.

    In a palette of colours the indices are the ids.

    Raises:
        MaskError: it is missing, no image, in colour, or not of 8 bits.
    """
    try:
        # OpenCV itself stumbles over names that are no UTF-8.
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise MaskError(f"{path} cannot be read ({error.strerror}): a mask is needed there") from None
    ids = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if ids is None:
        raise MaskError(f"{path} is no image that OpenCV reads: a mask is needed there")
    if ids.ndim == 3 and not (ids[..., :1] == ids[..., 1:3]).all():
        with Image.open(path) as image:
            if image.mode == "P":  # as the masks of VOC and DAVIS: the colours only show the ids
                return np.array(image)
        raise MaskError(f"{path}: a colour image; a mask needs one 8-bit channel of object ids")
    if ids.dtype != np.uint8:
        raise MaskError(f"{path}: {ids.dtype} values; a mask needs 8 bits, ids 1..254")
    return ids if ids.ndim == 2 else np.ascontiguousarray(ids[..., 0])
