"""Scenes that tests make themselves: bright shapes on a textured ground."""

import cv2
import numpy as np

from model.scene import Scene


def shape_scene(rng: np.random.Generator, side: int = 96) -> Scene:
    """One ellipse of random place, size and colour on noise, with a distractor of another colour."""
    image = cv2.GaussianBlur(rng.integers(60, 120, (side, side, 3), dtype=np.uint8), (0, 0), 2)
    truth = np.zeros((side, side), np.uint8)
    distractor = np.zeros((side, side), np.uint8)
    for mask, left in ((truth, True), (distractor, False)):
        centre = (int(side * (0.3 if left else 0.75)), int(rng.integers(side // 3, 2 * side // 3)))
        axes = (int(rng.integers(side // 10, side // 5)), int(rng.integers(side // 8, side // 4)))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    image[distractor > 0] = rng.integers(150, 250, 3)
    image[truth > 0] = rng.integers(150, 250, 3)
    return Scene(image, truth > 0, np.zeros((side, side), bool))
