"""Stretched windows: where they lie, what they show, and the way back."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from model.click import Click
from model.inference.stretch import StretchedWindow, stretched_crop


def mapped(shape: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    previous = np.zeros(shape, np.uint8)
    x0, y0, x1, y1 = box
    previous[y0:y1, x0:x1] = 200
    return previous


def bounds(window: StretchedWindow) -> tuple[int, int, int, int]:
    return window.x0, window.y0, window.x0 + window.cols, window.y0 + window.rows


def test_the_first_click_sees_the_whole_image() -> None:
    window = stretched_crop(np.full((480, 854), 127, np.uint8), [Click(10, 10)], 448)
    assert bounds(window) == (0, 0, 854, 480)
    assert window.inside() == (slice(0, 480), slice(0, 854), slice(0, 448), slice(0, 448))


@pytest.mark.parametrize(
    ("box", "clicks", "wanted"),
    [
        # 301x201 pixels around index (450, 400): 421.4 and 281.4 wide
        ((300, 300, 601, 501), [], (239, 259, 662, 542)),
        ((300, 300, 310, 310), [], (204, 204, 405, 405)),  # no less than 200 on a side
        (
            (300, 300, 601, 501),
            [Click(700.5, 300.5)],
            (220, 259, 782, 542),
        ),  # a positive click belongs to the object
        ((300, 300, 601, 501), [Click(900.5, 20.5, False)], (239, 259, 662, 542)),  # a negative one does not
        ((0, 0, 1000, 700), [], (0, 0, 1000, 700)),
        ((990, 0, 1000, 20), [], (894, 0, 1000, 110)),
    ],
)
def test_the_window_is_the_expanded_box_inside_the_image(
    box: tuple[int, int, int, int], clicks: list[Click], wanted: tuple[int, int, int, int]
) -> None:
    window = stretched_crop(mapped((700, 1000), box), clicks, 448)
    assert np.abs(np.subtract(bounds(window), wanted)).max() <= 1
    assert (window.height, window.width, window.size) == (700, 1000, 448)


def test_expansion_and_least_side_can_be_told() -> None:
    window = stretched_crop(mapped((700, 1000), (300, 300, 400, 350)), [], 448, expansion=2.0, min_side=1)
    assert np.abs(np.subtract(bounds(window), (250, 275, 450, 375))).max() <= 1


@pytest.mark.parametrize("shape", [(300, 500), (900, 700)])
def test_corners_lie_on_corners(shape: tuple[int, int]) -> None:
    """A ramp is shown as the ramp between the same ends, on either axis, however much it is stretched."""
    height, width = shape
    ramp = np.linspace(0, 250, width, dtype=np.float64).round().astype(np.uint8)
    window = StretchedWindow(0, 0, width, height, height, width, 448)
    shown = window.crop(np.tile(ramp, (height, 1)))
    assert shown.shape == (448, 448)
    assert np.abs(shown - np.linspace(0, 250, 448)).max() <= 1.1
    pixels = np.repeat(np.tile(ramp, (height, 1))[..., None], 3, 2)
    pixels.flags.writeable = False  # as images of the cache are
    with warnings.catch_warnings(action="error"):
        shown = window.crop(pixels)
    assert shown.shape == (448, 448, 3)
    assert shown.dtype == np.uint8


def test_paste_undoes_crop_and_leaves_nothing_outside() -> None:
    yy, xx = np.mgrid[:400, :500]
    smooth = (127.5 + 60 * np.sin(xx / 40) + 60 * np.cos(yy / 50)).astype(np.uint8)
    window = StretchedWindow(100, 40, 300, 120, 400, 500, 448)
    onto = np.full((400, 500), 99, np.uint8)
    window.paste(window.crop(smooth), onto)
    assert np.abs(onto[40:160, 100:400].astype(int) - smooth[40:160, 100:400]).max() <= 2
    onto[40:160, 100:400] = 0
    assert not onto.any()


def test_a_click_is_scaled_as_the_index_of_its_pixel() -> None:
    window = StretchedWindow(100, 40, 224, 112, 400, 500, 448)
    shown = window.to_input(Click(100.5, 40.5, False))
    assert (shown.x, shown.y, shown.positive) == (0.5, 0.5, False)
    shown = window.to_input(Click(110.5, 50.5))
    assert (shown.x, shown.y) == (20.5, 40.5)
