"""A click model without a network, so that the head alone is on trial."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from model.inference.predictor import Request


class FloodFill:
    """Answers with what is coloured like the clicked place."""

    def predict_many(self, requests: Sequence[Request]) -> list[np.ndarray]:
        maps = []
        for request in requests:
            filled = np.zeros((request.image.shape[0] + 2, request.image.shape[1] + 2), np.uint8)
            row, column = request.clicks[-1].pixel(*request.image.shape[:2])
            flags, near = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE, (40, 40, 40)
            cv2.floodFill(request.image.copy(), filled, (column, row), (0, 0, 0), near, near, flags)
            maps.append(filled[1:-1, 1:-1] * np.uint8(250))
        return maps

    def look_again(self, requests: Sequence[Request], maps: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(maps)
