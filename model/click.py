"""A click: the only thing an annotator gives the model besides the image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Click:
    """One click on an image.

    Attributes:
        x: horizontal position in pixels from the left edge, continuous: pixel ``i`` covers ``[i, i + 1)``.
        y: vertical position in pixels from the top edge, continuous.
        positive: True inside the object, False on what must not belong to it.
    """

    x: float
    y: float
    positive: bool = True

    def pixel(self, height: int, width: int) -> tuple[int, int]:
        """Return the (row, column) of the pixel under the click, clamped to an image of (height, width)."""
        return min(max(int(self.y // 1), 0), height - 1), min(max(int(self.x // 1), 0), width - 1)
