"""A mask in some hundred bytes: enough to recognise it and to tell how far another one is from it."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from model.zoom import object_box

SIDE = 24  # cells; one of them is at most a hundredth of an ordinary object's area


@dataclass(frozen=True)
class Footprint:
    """The mask's box, and which cells of a grid over it the mask covers at least half.

    Attributes:
        box: x0, y0, x1, y1 in pixels, ends exclusive; all zero for an empty mask.
        area: of the mask, pixels.
        cells: base64 of the packed bits, row by row.
    """

    box: tuple[int, int, int, int]
    area: int
    cells: str

    @staticmethod
    def of(mask: np.ndarray) -> Footprint:
        """Describe an HxW bool mask."""
        box = object_box(mask)
        if box is None:
            return Footprint((0, 0, 0, 0), 0, "")
        cells = base64.b64encode(np.packbits(_grid(mask, box)).tobytes()).decode()
        return Footprint(box, int(np.count_nonzero(mask)), cells)

    def iou(self, mask: np.ndarray) -> float:
        """IoU of an HxW bool mask with this one, to about one cell along the edge; exactly 1 for the same mask."""
        if not self.area or not mask.any():
            return float(bool(self.area) == bool(mask.any()))
        bits = np.unpackbits(np.frombuffer(base64.b64decode(self.cells), np.uint8))[: SIDE * SIDE]
        own, other = bits.reshape(SIDE, SIDE) > 0, _grid(mask, self.box)
        x0, y0, x1, y1 = self.box
        outside = np.count_nonzero(mask) - np.count_nonzero(mask[y0:y1, x0:x1])
        # Pixels outside the box count in cells, so that both parts have one unit.
        beyond = outside * SIDE * SIDE / ((x1 - x0) * (y1 - y0))
        union = np.count_nonzero(own | other) + beyond
        return float(np.count_nonzero(own & other) / union) if union else 1.0


def _grid(mask: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box
    part = np.ascontiguousarray(mask[y0:y1, x0:x1]).view(np.uint8) * np.uint8(255)
    return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA) >= 128
