"""Zoom-in of SimpleClick (arXiv 2210.11006): the object's own box, stretched to the network's square input.

What RITM (arXiv 2102.06583) calls zoom-in with a fixed crop. Resampling is bilinear with the corners' pixels on each
other, as the networks were trained and measured; a click is placed as they do it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from model.click import Click
from model.inference.zoom import Window, box_of_map

EXPANSION = 1.4
MIN_SIDE = 200  # pixels


@dataclass(frozen=True)
class StretchedWindow(Window):
    """A window that lies inside the image, as its authors stretch it."""

    def inside(self) -> tuple[slice, slice, slice, slice]:
        """See `Window.inside`: the box, and the whole input."""
        rows, cols = slice(self.y0, self.y0 + self.rows), slice(self.x0, self.x0 + self.cols)
        return rows, cols, slice(0, self.size), slice(0, self.size)

    def crop(
        self, array: np.ndarray, fill: int | Sequence[int] = 0, interpolation: int | None = None
    ) -> np.ndarray:
        """See `Window.crop`; nothing is filled, and the interpolation is the networks' own."""
        rows, cols, _, _ = self.inside()
        return _resized(array[rows, cols], (self.size, self.size))

    def show(self, image: np.ndarray) -> np.ndarray:
        """See `Window.show`; nothing lies beyond the border here."""
        return self.crop(image)

    def paste(self, values: np.ndarray, onto: np.ndarray) -> None:
        """See `Window.paste`. Outside the window nothing is object any more: the window holds all that was."""
        rows, cols, _, _ = self.inside()
        onto[:] = 0
        onto[rows, cols] = _resized(values, (self.rows, self.cols))

    def to_input(self, click: Click) -> Click:
        """See `Window.to_input`: the index of the click's pixel is scaled as the box is."""
        x = (click.x - 0.5 - self.x0) * self.size / self.cols + 0.5
        y = (click.y - 0.5 - self.y0) * self.size / self.rows + 0.5
        return Click(x, y, click.positive)


def _resized(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample HxW or HxWxC uint8 to (height, width), corners on corners."""
    pixels = torch.from_numpy(array.astype(np.float32))
    planes = pixels.reshape(*array.shape[:2], -1).permute(2, 0, 1)[None]
    resized = F.interpolate(planes, shape, mode="bilinear", align_corners=True)
    return resized[0].round().to(torch.uint8).permute(1, 2, 0).numpy().reshape(*shape, *array.shape[2:])


def stretched_crop(
    previous: np.ndarray,
    clicks: Sequence[Click],
    size: int,
    expansion: float = EXPANSION,
    min_side: int = MIN_SIDE,
) -> StretchedWindow:
    """Return the window around the object so far: previous mask (HxW uint8, object from 128) and positive clicks.

    The whole image where the previous mask is empty.

    Args:
        size: side of the network's input in pixels.
        expansion: sides of the window over those of the box.
        min_side: least side of the window in pixels, where the image has as many.
    """
    height, width = previous.shape
    box = box_of_map(previous)
    if box is None:
        return StretchedWindow(0, 0, width, height, height, width, size)
    pixels = [click.pixel(height, width) for click in clicks if click.positive]
    x0, x1 = min([box[0], *(x for _, x in pixels)]), max([box[2], *(x + 1 for _, x in pixels)])
    y0, y1 = min([box[1], *(y for y, _ in pixels)]), max([box[3], *(y + 1 for y, _ in pixels)])
    left, right = _expanded(x0, x1, expansion, min_side, width)
    top, bottom = _expanded(y0, y1, expansion, min_side, height)
    return StretchedWindow(left, top, right - left, bottom - top, height, width, size)


def _expanded(start: int, end: int, expansion: float, least: int, limit: int) -> tuple[int, int]:
    """Begin and end of the window on one axis, in whole pixels inside the image."""
    half, middle = max((end - start) * expansion, least) / 2, (start + end - 1) / 2
    return max(round(middle - half), 0), min(round(middle + half) + 1, limit)
