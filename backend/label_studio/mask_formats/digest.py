"""A few bytes of text that tell a mask from any other, however Label Studio has written it since."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from model.mask_ops import object_box


def of_mask(mask: np.ndarray, box: tuple[int, int, int, int] | None = None) -> str:
    """Return the digest of a mask, HxW bool, 16 hexadecimal digits: the same for a brush and a bitmask.

    Args:
        box: `object_box` of the mask, where it is known.
    """
    box = box or object_box(mask)
    left, top, right, bottom = box or (0, 0, 0, 0)
    pixels = np.packbits(mask[top:bottom, left:right])  # the rest is empty, and takes longer
    return _digest(f"{mask.shape} {box} ".encode() + pixels.tobytes())


def of_points(points: Sequence[Sequence[float]]) -> str:
    """Return the digest of a polygon's points, [x, y] in percent: they come back as they were sent."""
    return _digest(np.round(np.array(points, np.float64), 4).tobytes())


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
