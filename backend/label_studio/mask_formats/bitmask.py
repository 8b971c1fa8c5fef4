"""Label Studio's bitmasks: a mask as a PNG in a data URL, whose alpha channel is the mask."""

from __future__ import annotations

import base64
import binascii
import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from PIL import Image

PREFIX = "data:image/png;base64,"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">II5B")  # width, height, bits, colour type, compression, filter, interlace
_GREY, _PALETTE, _UP = 0, 3, 2
_WANTED = "a bitmask is a PNG in a data URL"
_DAMAGED = "the PNG of the bitmask is damaged"
_MOST_BYTES = 32 << 20  # of the PNG


def encode(mask: np.ndarray) -> str:
    """Encode a mask as a PNG of one bit a pixel, black, opaque where the mask is, which the editor shows as its own.

    The editor writes 32 bits a pixel, which takes ten times as long.

    Args:
        mask: HxW bool, not empty.

    Returns:
        The data URL; ``value.imageDataURL`` of a region.

    Raises:
        ValueError: not a two-dimensional bool array with a pixel.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.size:
        raise ValueError(f"a mask is a HxW bool array that is not empty, got {mask.dtype} {mask.shape}")
    height, width = mask.shape
    bits = np.packbits(mask, axis=1)
    rows = np.empty((height, 1 + bits.shape[1]), np.uint8)
    rows[:, 0] = _UP  # each row as the difference to the one above, which is nothing inside and outside
    rows[0, 1:] = bits[0]
    np.subtract(bits[1:], bits[:-1], out=rows[1:, 1:])
    chunks = (
        (b"IHDR", _HEADER.pack(width, height, 1, _PALETTE, 0, 0, 0)),
        (b"PLTE", bytes(6)),  # two colours, both black
        (b"tRNS", b"\x00\xff"),  # the first transparent, the second opaque
        (b"IDAT", zlib.compress(rows.data, 6)),
        (b"IEND", b""),
    )
    file = _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)
    return PREFIX + base64.b64encode(file).decode()


def decode(url: str, height: int, width: int) -> np.ndarray:
    """Decode the alpha channel of a bitmask, HxW uint8; all 255 where the file has no transparency.

    Args:
        url: the data URL of a PNG.
        height, width: size that the mask must have, pixels.

    Raises:
        ValueError: no PNG in a data URL, another size, or damaged; the sentence says which.
    """
    file = _file(url)
    _check_header(file, height, width)  # before any pixel takes memory
    if file[25] == _GREY and b"tRNS" in file:  # whose transparency OpenCV drops
        return _alpha_of_grey(file)
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[:2] != (height, width):
        raise ValueError(_DAMAGED)
    if pixels.ndim < 3 or pixels.shape[2] != 4:
        return np.full((height, width), 255, np.uint8)
    alpha = pixels[..., 3]
    return alpha.astype(np.uint8) if alpha.dtype == np.uint8 else (alpha // 256).astype(np.uint8)


def _alpha_of_grey(file: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(file), formats=("PNG",)) as image:
            return np.asarray(image.convert("RGBA"))[..., 3]
    except Exception as error:  # over damaged files decoders stumble in every way there is
        raise ValueError(f"{_DAMAGED}: {error}") from error


def check(url: Any, height: int, width: int) -> None:
    """Look at a bitmask's beginning: ValueError where it is none, or of another size."""
    if not isinstance(url, str):
        raise ValueError(_WANTED)
    head, comma, body = "".join(url[:256].split()).partition(",")
    _check_header(_file(f"{head}{comma}{body[: 4 * (len(body) // 4)]}"), height, width)


def _check_header(file: bytes, height: int, width: int) -> None:
    if file[:8] != _SIGNATURE or file[12:16] != b"IHDR" or len(file) < 16 + _HEADER.size:
        raise ValueError(_WANTED)
    seen_width, seen_height = _HEADER.unpack_from(file, 16)[:2]
    if (seen_height, seen_width) != (height, width):
        raise ValueError(f"the bitmask is {seen_width}x{seen_height} but the image {width}x{height}")


def _file(url: str) -> bytes:
    head, _, body = url.partition(",")
    if not head.lower().startswith("data:image/png") or not head.lower().endswith("base64"):
        raise ValueError(_WANTED)
    if len(body) > _MOST_BYTES * 4 // 3:
        raise ValueError(f"the bitmask is larger than {_MOST_BYTES >> 20} MB")
    try:
        body = "".join(body.split())  # with the liberties that browsers allow
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the bitmask is no valid base64: {error}") from error


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
