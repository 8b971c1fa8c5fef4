"""Zoom-in geometry: round trips to a fraction of a pixel."""

import cv2
import numpy as np
import pytest

from model.click import Click
from model.inference import zoom


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (1080, 1920), (33, 500), (7, 5)])
def test_the_whole_image_is_shown_with_equal_margins(shape):
    window = zoom.whole(shape, 256)
    rows, cols, to_rows, to_cols = window.inside()
    assert (rows.start, rows.stop, cols.start, cols.stop) == (0, shape[0], 0, shape[1])
    assert abs(to_rows.start - (256 - to_rows.stop)) <= 2
    assert abs(to_cols.start - (256 - to_cols.stop)) <= 2


@pytest.mark.parametrize("seed", range(20))
def test_a_point_drawn_in_the_image_is_found_where_to_input_says(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(100, 700, 2)
    yy, xx = np.mgrid[:height, :width].astype(np.float32) + 0.5
    previous = np.zeros((height, width), np.uint8)
    previous[height // 4 : height // 2, width // 3 : width // 2] = 255
    window = zoom.target_crop(previous, [Click(width / 2, height / 2)], 256, rng.uniform(1.0, 2.5))
    x, y = rng.uniform(width / 3, width / 2), rng.uniform(height / 4, height / 2)
    spot = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 12.0**2))
    shown = window.crop(spot)
    vv, uu = np.mgrid[:256, :256].astype(np.float32) + 0.5
    weight = shown**4
    mapped = window.to_input(Click(x, y))
    assert abs((uu * weight).sum() / weight.sum() - mapped.x) < 0.35
    assert abs((vv * weight).sum() / weight.sum() - mapped.y) < 0.35


@pytest.mark.parametrize("side", [100, 256, 300, 700])
def test_paste_undoes_crop_and_touches_nothing_outside(side):
    height, width = 400, 500
    yy, xx = np.mgrid[:height, :width]
    smooth = (127.5 + 60 * np.sin(xx / 40) + 60 * np.cos(yy / 50)).astype(np.uint8)
    window = zoom.square(200, 150, side, (height, width), 256)
    onto = np.full((height, width), 7, np.uint8)
    back = onto.copy()
    window.paste(window.crop(smooth), back)
    rows, cols, *_ = window.inside()
    assert np.abs(back[rows, cols].astype(int) - smooth[rows, cols]).max() <= 6
    untouched = np.ones((height, width), bool)
    untouched[rows, cols] = False
    assert (back[untouched] == 7).all()
    assert (onto == 7).all()


def test_a_window_is_moved_into_the_image_where_it_fits():
    window = zoom.square(5, 395, 100, (400, 500), 256)
    assert (window.x0, window.y0) == (0, 300)


@pytest.mark.parametrize(
    ("side", "whole"), [(320, 1600), (600, 1600), (1111, 1600), (1540, 1600), (1533, 1533)]
)
def test_a_large_window_shows_the_mean_of_areas(side, whole):
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    pixels = cv2.resize(noise, (1600, 1600), interpolation=cv2.INTER_CUBIC)[:whole, :whole]
    window = zoom.square(whole / 2, whole / 2, side, (whole, whole), 256)
    rows, cols, *_ = window.inside()
    assert side <= window.side < side + 8
    wanted = cv2.resize(pixels[rows, cols].astype(np.float32), (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(window.crop(pixels) - wanted).mean() < 2.5  # levels; neighbours in the noise are 85 apart


def test_padding_outside_the_image_has_the_given_colour():
    image = np.full((100, 300, 3), 9, np.uint8)
    shown = zoom.whole((100, 300), 96).crop(image, zoom.PAD_COLOUR)
    assert (shown[0, 0] == zoom.PAD_COLOUR).all()
    assert (shown[48, 48] == 9).all()


def test_around_holds_object_and_clicks_and_keeps_a_smallest_side():
    previous = np.zeros((1000, 1000), np.uint8)
    previous[500:520, 500:520] = 200
    window = zoom.target_crop(previous, [Click(510.0, 510.0)], 300)
    assert window.side == 38  # no more than eightfold magnification
    window = zoom.target_crop(previous, [Click(510.0, 510.0), Click(900.0, 510.0)], 300)
    mapped = window.to_input(Click(900.0, 510.0))
    assert 0 < mapped.x < 300
    assert 0 < mapped.y < 300


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("width", "sides"),
    [(400, (1400, 1400)), (390, (1400, 1365)), (200, (1400, 700)), (60, (1400, 240)), (3, (1400, 240))],
)
def test_a_long_object_is_shown_no_longer_than_so_many_times_its_width(width, sides, turned):
    previous = np.zeros((2000, 2000), np.uint8)
    previous[1000 - width // 2 : 1000 + (width + 1) // 2, 500:1500] = 200
    click = Click(1000.0, 1000.0)
    window = zoom.target_crop(previous.T if turned else previous, [click], 256)
    found = (window.rows, window.cols) if turned else (window.cols, window.rows)
    np.testing.assert_allclose(found, sides, atol=8)
    seen = window.to_input(click)
    assert abs(seen.x - 128) < 2
    assert abs(seen.y - 128) < 2


def test_a_stretched_window_skips_no_pixel_and_pastes_where_it_was():
    noise = np.random.default_rng(0).integers(0, 256, (60, 2000), dtype=np.uint8)
    window = zoom.oblong(1000, 30, (1600, 60), noise.shape, 128)
    shown = window.crop(noise)
    rows, cols, *_ = window.inside()
    wanted = cv2.resize(noise[rows, cols].astype(np.float32), (128, 60), interpolation=cv2.INTER_AREA)
    wanted = cv2.resize(wanted, (128, 128), interpolation=cv2.INTER_LINEAR)
    assert np.abs(shown - wanted).mean() < 1  # levels; it would be 30 if pixels were skipped
    mask, back = np.zeros((60, 2000), np.uint8), np.zeros((60, 2000), np.uint8)
    mask[20:40, 400:1600] = 255
    window.paste(window.crop(mask), back)
    assert ((back >= 128) != (mask >= 128)).mean() < 0.01


def test_around_nothing_is_the_whole_image():
    assert zoom.target_crop(np.zeros((60, 80), np.uint8), [Click(1, 1)], 64) == zoom.whole((60, 80), 64)


@pytest.mark.parametrize("turned", [False, True])
def test_of_a_long_strip_the_part_around_the_clicks_is_shown(turned):
    def window(*places):
        clicks = [Click(y, x) if turned else Click(x, y) for x, y in places]
        found = zoom.target_crop(np.zeros((5000, 100) if turned else (100, 5000), np.uint8), clicks, 256)
        return (found.y0, found.x0, found.side) if turned else (found.x0, found.y0, found.side)

    assert window((2000.5, 30.0)) == (1850, -100, 300)
    assert window((10.0, 30.0)) == (0, -100, 300)
    assert window((4999.0, 99.0)) == (4700, -100, 300)
    start, _, side = window((1000.0, 50.0), (2000.0, 50.0))
    assert (start, start + side) == (800, 2200)


def test_what_is_no_strip_is_shown_as_a_whole():
    assert zoom.target_crop(np.zeros((100, 300), np.uint8), [Click(1, 1)], 64) == zoom.whole((100, 300), 64)
    assert zoom.target_crop(np.zeros((100, 5000), np.uint8), [], 64) == zoom.whole((100, 5000), 64)


def test_closer_holds_change_and_click_in_a_smaller_window():
    before, seen = np.zeros((400, 600), np.uint8), zoom.Window(100, 20, 360, 360, 400, 600, 256)
    after = before.copy()
    after[100:130, 200:240] = 200
    window = zoom.focus_crop(before, after, Click(255.0, 110.0), seen)
    assert (window.height, window.width, window.size) == (400, 600, 256)
    assert window.side == 90  # a quarter of the window before: the change itself would be less
    assert window.x0 <= 200
    assert window.x0 + window.side >= 255
    assert window.y0 <= 100
    assert window.y0 + window.side >= 130


def test_closer_is_nothing_where_it_would_show_hardly_less():
    before, seen = np.zeros((400, 600), np.uint8), zoom.Window(100, 20, 360, 360, 400, 600, 256)
    after = before.copy()
    after[100:300, 200:300] = 200
    assert zoom.focus_crop(before, after, Click(210.0, 110.0), seen) is None
    assert (
        zoom.focus_crop(before, before, Click(210.0, 110.0), zoom.Window(0, 0, 72, 72, 400, 600, 384)) is None
    )


def test_closer_without_a_change_looks_at_the_click():
    before, seen = np.zeros((400, 600), np.uint8), zoom.Window(100, 20, 360, 360, 400, 600, 256)
    window = zoom.focus_crop(before, before, Click(250.0, 200.0), seen)
    assert (window.x0 + window.side / 2, window.y0 + window.side / 2) == (250, 200)


def test_a_blank_map_is_looked_at_as_zeros_are():
    blank, zeros = zoom.blank_map((300, 400)), np.zeros((300, 400), np.uint8)
    np.testing.assert_array_equal(blank, zeros)
    assert zoom.is_blank(blank)
    assert not zoom.is_blank(zeros)
    assert zoom.box_of_map(blank) is zoom.box_of_map(zeros) is None
    for window in (zoom.whole((300, 400), 64), zoom.square(10, 20, 100, (300, 400), 64)):
        np.testing.assert_array_equal(window.crop(blank), window.crop(zeros))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("place", [(0, 0, 500), (100, 50, 200), (-30, -40, 300), (450, 390, 50)])
def test_paste_writes_into_any_kind_of_array(order, place):
    values = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    x0, y0, side = place
    window = zoom.Window(x0, y0, side, side, 400, 500, 64)
    rows, cols, to_rows, to_cols = window.inside()
    onto = np.zeros((400, 500), np.uint8, order=order)
    window.paste(values, onto)
    size = (cols.stop - cols.start, rows.stop - rows.start)
    wanted = cv2.resize(values[to_rows, to_cols], size, interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(onto[rows, cols], wanted)


def test_flat_ground_is_shown_rough_and_what_is_beyond_the_border_is_not():
    shown = zoom.whole((100, 300), 96).show(np.full((100, 300, 3), 127, np.uint8))
    assert (shown[:32] == zoom.PAD_COLOUR).all()
    assert shown[33:63].std() > 2
