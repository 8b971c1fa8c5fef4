"""Images of two kinds that nobody takes for each other."""

from __future__ import annotations

import cv2
import numpy as np


def dots(seed: int) -> np.ndarray:
    """Small bright dots on a dark ground, HxWx3 uint8."""
    rng = np.random.default_rng(seed)
    image = np.full((200, 240, 3), 20, np.uint8)
    for x, y in rng.integers(5, 195, (60, 2)):
        cv2.circle(image, (int(x), int(y)), int(rng.integers(2, 6)), (40, 180, 60), -1)
    return image


def stripes(seed: int) -> np.ndarray:
    """Soft grey stripes, HxWx3 uint8."""
    rng = np.random.default_rng(seed)
    rows = 128 + 60 * np.sin(np.arange(300) / rng.uniform(3, 6) + rng.uniform(0, 6))
    return np.repeat(np.repeat(rows[:, None, None], 200, 1), 3, 2).astype(np.uint8)
