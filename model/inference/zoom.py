"""Zoom-in: which part of the image the network sees, and the way there and back.

A window is a square of the image, padded where it reaches beyond the border, that is resampled to the network's
input of S x S pixels; around a long object it is an oblong, which the resampling stretches. It depends on previous
mask and clicks alone, so that a replay sees the same window. Zoom-in as in RITM (arXiv 2102.06583), with a window of
fixed input size instead of a variable one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from model.click import Click
from model.inference.flat_ground import roughen
from model.mask_ops import THRESHOLD, object_box

PAD_COLOUR = (127, 127, 127)  # near the mean of photos: black would look like an object's edge
EXPANSION = 1.4
LONG = 2.5  # longer objects are shown no longer than this: what is thin in the input is lost
MOST_STRETCHED = 6.0
FIRST_SIDE = 3.0  # of the image's shorter side: more of a long strip would show its objects too small to tell
SIDE_STEP = 8  # pixels, of large windows: sides that can be halved are quick to resample
LEAST_SHRINKING = 1.2  # below which two pixels a side make a new one, and none is skipped
MIN_SIDE_SHARE = 1 / 8  # of the input side: small objects are magnified eightfold at most
CLOSER_EXPANSION = 1.6
# Of the window's side: what a closer look shows at least, and at most to be worth it.
CLOSER_SIDES = (0.25, 0.6)


@dataclass(frozen=True)
class Window:
    """A box of `cols` x `rows` pixels with its top left corner at (x0, y0) of an image of (height, width).

    It may reach beyond the image. `size` is the side of the square network input it is shown in.
    """

    x0: int
    y0: int
    cols: int
    rows: int
    height: int
    width: int
    size: int

    @property
    def side(self) -> int:
        """The longer side in pixels of the image."""
        return max(self.cols, self.rows)

    def _axis(self, start: int, side: int, limit: int) -> tuple[int, int, int, int]:
        """Find the inside part of one axis: image begin and end, input begin and end, all in whole pixels."""
        begin, end = max(start, 0), min(start + side, limit)
        scale = self.size / side
        low = round((begin - start) * scale)
        high = max(round((end - start) * scale), low + 1)
        return begin, end, low, high

    def inside(self) -> tuple[slice, slice, slice, slice]:
        """Return the rows and columns of the image that the window shows, and where they lie in the input."""
        y0, y1, v0, v1 = self._axis(self.y0, self.rows, self.height)
        x0, x1, u0, u1 = self._axis(self.x0, self.cols, self.width)
        return slice(y0, y1), slice(x0, x1), slice(v0, v1), slice(u0, u1)

    def crop(
        self, array: np.ndarray, fill: int | Sequence[int] = 0, interpolation: int | None = None
    ) -> np.ndarray:
        """Resample HxW or HxWxC (uint8 or float32) to the input, SxS or SxSxC of the same dtype."""
        rows, cols, to_rows, to_cols = self.inside()
        full = (self.size, self.size, *array.shape[2:])
        if is_blank(array):
            return np.full(full, fill, array.dtype)
        shape = (to_cols.stop - to_cols.start, to_rows.stop - to_rows.start)
        part = array[rows, cols]
        if interpolation is None:
            resized = _resampled(part, shape)
        else:
            resized = cv2.resize(part, shape, interpolation=interpolation)
        if resized.shape[:2] == full[:2]:
            return resized
        margins = to_rows.start, self.size - to_rows.stop, to_cols.start, self.size - to_cols.stop
        return cv2.copyMakeBorder(resized, *margins, cv2.BORDER_CONSTANT, value=fill)

    def show(self, image: np.ndarray) -> np.ndarray:
        """Resample an image (HxWx3 uint8 RGB) to what the network sees of it, SxSx3 uint8."""
        shown = self.crop(image, PAD_COLOUR)
        _, _, rows, cols = self.inside()
        shown[rows, cols] = roughen(shown[rows, cols], self.size / min(self.cols, self.rows))
        return shown

    def paste(self, values: np.ndarray, onto: np.ndarray) -> None:
        """Put the input-sized `values` (SxS uint8) into the window's place in `onto` (HxW uint8)."""
        rows, cols, to_rows, to_cols = self.inside()
        shape = (cols.stop - cols.start, rows.stop - rows.start)
        place = onto[rows, cols]
        writable = place if place.strides[1] == place.itemsize else None  # by OpenCV itself, without a copy
        resized = cv2.resize(values[to_rows, to_cols], shape, writable, interpolation=cv2.INTER_LINEAR)
        if writable is None:
            place[:] = resized

    def to_input(self, click: Click) -> Click:
        """Map a click from image to input coordinates; exact for what `crop` shows."""
        rows, cols, to_rows, to_cols = self.inside()
        fx = (to_cols.stop - to_cols.start) / (cols.stop - cols.start)
        fy = (to_rows.stop - to_rows.start) / (rows.stop - rows.start)
        x = to_cols.start + (click.x - cols.start) * fx
        return Click(x, to_rows.start + (click.y - rows.start) * fy, click.positive)


def _resampled(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample to `shape` (width, height); where that shrinks, by means of areas, so that no pixel is skipped.

    OpenCV halves many times faster than it takes means over fractions of pixels: even sides are halved while they are
    twice as long as they shall be, and what is still too large goes by way of twice `shape`. Where a window is
    stretched, one axis shrinks before the other grows.
    """
    ratios = array.shape[1] / shape[0], array.shape[0] / shape[1]
    if max(ratios) > 1.5 * min(ratios):
        shrunk = min(shape[0], array.shape[1]), min(shape[1], array.shape[0])
        array = cv2.resize(array, shrunk, interpolation=cv2.INTER_AREA)
    while (excess := min(array.shape[1] / shape[0], array.shape[0] / shape[1])) >= 2:
        if array.shape[0] % 2 or array.shape[1] % 2:
            break
        array = _half(array)
    if excess <= LEAST_SHRINKING:
        return cv2.resize(array, shape, interpolation=cv2.INTER_LINEAR)
    method = cv2.INTER_LINEAR if excess < 2 * LEAST_SHRINKING else cv2.INTER_AREA
    return _half(cv2.resize(array, (2 * shape[0], 2 * shape[1]), interpolation=method))


def _half(array: np.ndarray) -> np.ndarray:
    return cv2.resize(array, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _place(centre: float, side: int, limit: int) -> int:
    """Choose the start of a window on one axis: inside the image if it fits, else with equal margins."""
    if side >= limit:
        return -((side - limit) // 2)
    return min(max(round(centre - side / 2), 0), limit - side)


def square(centre_x: float, centre_y: float, side: float, shape: tuple[int, int], size: int) -> Window:
    """Make the window of about `side` pixels around a point, shifted into the image where it fits."""
    return oblong(centre_x, centre_y, (side, side), shape, size)


def oblong(
    centre_x: float, centre_y: float, sides: tuple[float, float], shape: tuple[int, int], size: int
) -> Window:
    """Make the window of about `sides` (columns, rows) around a point, shifted into the image where it fits."""
    height, width = shape
    cols, rows = (_whole(side, size, max(shape)) for side in sides)
    x0, y0 = _place(centre_x, cols, width), _place(centre_y, rows, height)
    return Window(x0, y0, cols, rows, height, width, size)


def _whole(side: float, size: int, most: int) -> int:
    """Round the side of a window to pixels, of a large one up to what is quick to resample."""
    step = SIDE_STEP if side >= 2 * size else 1
    return min(math.ceil(max(round(side), 1) / step) * step, most)


def whole(shape: tuple[int, int], size: int) -> Window:
    """Make the window that shows the whole image."""
    return square(shape[1] / 2, shape[0] / 2, max(shape), shape, size)


def blank_map(shape: tuple[int, int]) -> np.ndarray:
    """Make a map without anything, HxW uint8 and read-only, that takes neither memory nor time to be looked at."""
    return np.broadcast_to(np.zeros((), np.uint8), shape)


def is_blank(array: np.ndarray) -> bool:
    """Tell whether an array is a `blank_map`."""
    return not any(array.strides)


def box_of_map(previous: np.ndarray) -> tuple[int, int, int, int] | None:
    """Find `object_box` of `previous >= THRESHOLD` without writing a mask as large as the image."""
    rows = np.flatnonzero([] if is_blank(previous) else previous.max(1) >= THRESHOLD)
    if not rows.size:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    cols = np.flatnonzero(previous[top:bottom].max(0) >= THRESHOLD)
    return int(cols[0]), top, int(cols[-1]) + 1, bottom


def target_crop(
    previous: np.ndarray, clicks: Sequence[Click], size: int, expansion: float = EXPANSION
) -> Window:
    """Make the window around the object so far: previous mask (HxW uint8 map, object from 128), positive clicks and
    the last click. Where the previous mask is empty, the whole image, or of a long strip the part around the clicks.
    """
    shape = (previous.shape[0], previous.shape[1])
    box = box_of_map(previous)
    if box is None:
        return _first_crop(shape, clicks, size, expansion)
    points = [c for c in clicks if c.positive] + list(clicks[-1:])
    x0, x1 = min([box[0], *(c.x for c in points)]), max([box[2], *(c.x for c in points)])
    y0, y1 = min([box[1], *(c.y for c in points)]), max([box[3], *(c.y for c in points)])
    width, height = x1 - x0, y1 - y0
    side, least = max(width, height) * expansion, size * MIN_SIDE_SHARE
    stretched = max(width, height) / (max(min(width, height), 1) * LONG)
    least = max(side / min(max(stretched, 1), MOST_STRETCHED), least)
    sides = max(width * expansion, least), max(height * expansion, least)
    return oblong((x0 + x1) / 2, (y0 + y1) / 2, sides, shape, size)


def _first_crop(shape: tuple[int, int], clicks: Sequence[Click], size: int, expansion: float) -> Window:
    """Make the window in which an object is looked for: around all clicks so far, the last one in any case."""
    limit = FIRST_SIDE * min(shape)
    if not clicks or limit >= max(shape):
        return whole(shape, size)
    xs, ys = [c.x for c in clicks], [c.y for c in clicks]
    side = max(limit, max(max(xs) - min(xs), max(ys) - min(ys)) * expansion)
    return square((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, side, shape, size)


def focus_crop(
    before: np.ndarray,
    after: np.ndarray,
    click: Click,
    seen: Window,
    expansion: float = CLOSER_EXPANSION,
    region: tuple[slice, slice] | None = None,
) -> Window | None:
    """Make the window around what a click changed, for a second, closer look (Focus Crop, arXiv 2204.02574).

    Args:
        before, after: HxW uint8 maps, object from 128.
        click: the click between them.
        seen: the window in which it was answered.
        expansion: the window's side over that of the change.
        region: rows and columns of `seen` in which the maps may differ; None for all of it.

    Returns:
        A smaller window than `seen`; None where that would show the change hardly larger.
    """
    rows, cols, _, _ = seen.inside()
    x, y = click.x - cols.start, click.y - rows.start
    part = region or (rows, cols)
    changed = before[part] ^ after[part]
    changed &= THRESHOLD
    box, (x0, y0, x1, y1) = object_box(changed), (x, y, x, y)
    if box is not None:
        right, down = part[1].start - cols.start, part[0].start - rows.start
        x0, y0, x1, y1 = (
            min(box[0] + right, x),
            min(box[1] + down, y),
            max(box[2] + right, x),
            max(box[3] + down, y),
        )
    least, most = (share * seen.side for share in CLOSER_SIDES)
    side = max(max(x1 - x0, y1 - y0) * expansion, seen.size * MIN_SIDE_SHARE, least)
    if side > most:
        return None
    centre_x, centre_y = cols.start + (x0 + x1) / 2, rows.start + (y0 + y1) / 2
    return square(centre_x, centre_y, side, (seen.height, seen.width), seen.size)
