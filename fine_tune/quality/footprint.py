"""A mask in some hundred bytes: enough to recognise it and to tell how far another one is from it."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from model.mask_ops import object_box

SIDE = 24  # cells; one of them is at most a hundredth of an ordinary object's area


@dataclass(frozen=True)
class Footprint:
    """The mask's box, and which cells of a grid over it the mask covers at least half.

    Attributes:
        box: x0, y0, x1, y1 in shares of the image's width and height; all zero for an empty mask.
        cells: base64 of the packed bits, row by row.
    """

    box: tuple[float, float, float, float]
    cells: str

    @staticmethod
    def of(mask: np.ndarray) -> Footprint:
        """Describe an HxW bool mask."""
        box = object_box(mask)
        if box is None:
            return Footprint((0, 0, 0, 0), "")
        height, width = mask.shape
        x0, x1 = round(box[0] / width, 5), round(box[2] / width, 5)
        y0, y1 = round(box[1] / height, 5), round(box[3] / height, 5)
        return Footprint((x0, y0, x1, y1), base64.b64encode(np.packbits(_grid(mask, box)).tobytes()).decode())

    def iou(self, mask: np.ndarray) -> float:
        """Compute the IoU of an HxW bool mask with this one, to about a cell along the edge; 1 for the same mask.

        The mask may have another resolution than the one that was described.
        """
        if not self.cells or not mask.any():
            return float(bool(self.cells) == bool(mask.any()))
        bits = np.unpackbits(np.frombuffer(base64.b64decode(self.cells), np.uint8))[: SIDE * SIDE]
        height, width = mask.shape
        x0, y0 = min(round(self.box[0] * width), width - 1), min(round(self.box[1] * height), height - 1)
        x1, y1 = max(round(self.box[2] * width), x0 + 1), max(round(self.box[3] * height), y0 + 1)
        own, other = bits.reshape(SIDE, SIDE) > 0, _grid(mask, (x0, y0, x1, y1))
        outside = np.count_nonzero(mask) - np.count_nonzero(mask[y0:y1, x0:x1])
        # Pixels outside the box count in cells, so that both parts have one unit.
        beyond = outside * SIDE * SIDE / ((x1 - x0) * (y1 - y0))
        union = np.count_nonzero(own | other) + beyond
        return float(np.count_nonzero(own & other) / union) if union else 1.0


def _grid(mask: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box
    part = np.ascontiguousarray(mask[y0:y1, x0:x1]).view(np.uint8) * np.uint8(255)
    return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA) >= 128
