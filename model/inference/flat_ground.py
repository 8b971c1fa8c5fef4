"""Flat ground: the parts of an image that have one colour without any noise, as in drawings and screenshots.

A window is filled with flat grey where it reaches beyond the border of an image, where networks have learned nothing.
They take flat ground for it, and one click marks all of it (docs/trials/training.md). A little noise tells them
apart.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

FLAT = 2  # levels between the darkest and the brightest pixel around one that is flat
REACH = 2  # pixels of the image that are looked at in each direction
LEAST = 0.25  # of what is shown that is flat: photos have less
NOISE = 3.0  # levels, its standard deviation


def roughen(shown: np.ndarray, magnified: float = 1.0) -> np.ndarray:
    """Add noise to what is flat in an image of which much is, HxWx3 uint8 like the result; the same in every call.

    Args:
        magnified: side of the pixels that show one of the image; photos that are shown larger are smooth, not flat.
    """
    side = 2 * round(REACH * max(magnified, 1)) + 1
    spread = cv2.morphologyEx(shown, cv2.MORPH_GRADIENT, np.ones((side, side), np.uint8))
    flat = cv2.inRange(spread, (0, 0, 0), (FLAT, FLAT, FLAT))
    if cv2.countNonZero(flat) < LEAST * flat.size:
        return shown
    height, width = flat.shape
    noise = _noise(1 << (max(height, width) - 1).bit_length())[:height, :width]
    return cv2.copyTo(cv2.add(shown, noise, dtype=cv2.CV_8U), flat, shown.copy())


@functools.cache
def _noise(side: int) -> np.ndarray:
    return np.rint(np.random.default_rng(0).normal(0, NOISE, (side, side, 3))).astype(np.int16)
