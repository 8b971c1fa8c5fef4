"""Flat ground: the parts of an image that have one colour without any noise, as in drawings and screenshots.

A window is filled with flat grey where it reaches beyond the border of an image, where networks have learned nothing.
They take flat ground for it, and one click marks all of it (docs/training.md). A little noise tells the two apart.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

FLAT = 3  # levels between the darkest and the brightest pixel around one that is flat
AROUND = np.ones((5, 5), np.uint8)
NOISE = 3.0  # levels, its standard deviation


def roughen(shown: np.ndarray) -> np.ndarray:
    """Add noise to what is flat in an image, HxWx3 uint8 like the result; the same noise in every call."""
    spread = cv2.morphologyEx(shown, cv2.MORPH_GRADIENT, AROUND)
    flat = cv2.inRange(spread, (0, 0, 0), (FLAT, FLAT, FLAT))
    if not cv2.countNonZero(flat):
        return shown
    height, width = flat.shape
    noise = _noise(1 << (max(height, width) - 1).bit_length())[:height, :width]
    return cv2.copyTo(cv2.add(shown, noise, dtype=cv2.CV_8U), flat, shown.copy())


@functools.cache
def _noise(side: int) -> np.ndarray:
    return np.rint(np.random.default_rng(0).normal(0, NOISE, (side, side, 3))).astype(np.int16)
