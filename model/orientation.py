"""Which way up an image is: the orientation that its EXIF block tells."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

ORIENTATION, SHORT = 0x0112, 3  # EXIF tag, TIFF type
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation_of(image: Image.Image, data: bytes) -> int:
    """Return the EXIF orientation, 1 to 8, of an open image file; 1 where browsers see none.

    Chromium was the measure: the first EXIF block of a JPEG counts, that of a PNG before its pixels, the turns of an
    AVIF, and nothing of other formats; Pillow by itself turns TIFF files.

    Args:
        data: bytes of the file.
    """
    if isinstance(image, JpegImageFile):
        # Any byte may follow the name.
        blocks = (block[6:] for kind, block in image.applist if kind == "APP1" and block[:5] == b"Exif\0")
        return _told(next(blocks, b""))
    if image.format == "PNG":
        return _told(next(_exif_chunks(data), b""))
    if image.format == "AVIF":  # Pillow writes a block of the turns that the file tells
        return _told(image.info.get("exif", b"")[6:])
    return 1


def _exif_chunks(data: bytes) -> Iterator[bytes]:
    """Yield the EXIF chunks of a PNG file that come before its pixels."""
    place, kind = 8, b""
    while place + 8 <= len(data) and kind != b"IDAT":
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"eXIf":
            yield data[place + 8 : place + 8 + length]
        place += 12 + length


def _told(tiff: bytes) -> int:
    """Return the orientation of a TIFF header's first directory: one 16-bit number from 1 to 8, else 1."""
    order = BYTE_ORDERS.get(tiff[:4], "")
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(count if order else 0):
            tag, kind, number, value = struct.unpack_from(order + "HHIH2x", tiff, start + 2 + 12 * entry)
            if (tag, kind, number) == (ORIENTATION, SHORT, 1) and 1 <= value <= 8:
                return int(value)
    except struct.error:  # a block that is cut off is no reason to refuse the picture
        pass
    return 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn HxWx3 pixels as they are stored to how they are to be seen (EXIF 2.3, tag Orientation)."""
    if orientation in (5, 6, 7, 8):
        pixels = cv2.transpose(pixels)
    flips = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # axis as in cv2.flip, after the transposition
    return cv2.flip(pixels, flips[orientation]) if orientation in flips else pixels
