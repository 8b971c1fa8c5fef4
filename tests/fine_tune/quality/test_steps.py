"""What a click did, on masks small enough to count."""

import numpy as np
import pytest

from fine_tune.quality.steps import measure
from model.click import Click


def square(side: int, low: int, high: int, value: int = 255) -> np.ndarray:
    values = np.zeros((side, side), np.uint8)
    values[low:high, low:high] = value
    return values


def test_first_click_changes_everything():
    effect = measure(None, square(20, 5, 15), [Click(10, 10)])
    assert (effect.area, effect.change, effect.growth, effect.surprise) == (0.25, 1, 1, 1)
    assert (effect.expected, effect.undecided, effect.weakest, effect.parts) == (1, 0, 1, 1)


def test_change_is_one_minus_iou_of_before_and_after():
    before, after = square(20, 0, 10), square(20, 0, 10)
    after[:10, 5:10] = 0
    effect = measure(before, after, [Click(8, 2, positive=False)])
    assert effect.change == pytest.approx(0.5)
    assert effect.growth == pytest.approx(-0.5)
    assert effect.surprise == 1  # the map was sure of the opposite


def test_a_click_that_says_what_the_map_says_is_no_surprise():
    values = square(20, 5, 15)
    assert measure(values, values, [Click(10, 10)]).surprise == 0


def test_depth_is_signed_and_in_object_sizes():
    before = square(41, 10, 31)  # 21 pixels wide
    inside = measure(before, before, [Click(20.5, 20.5)]).depth
    outside = measure(before, before, [Click(5.5, 20.5)]).depth
    assert inside == pytest.approx(11 / 21, abs=0.05)
    assert outside == pytest.approx(-5 / 21, abs=0.05)


def test_expected_iou_of_a_map_that_is_unsure():
    values = square(20, 5, 15, 153)  # 0.6 inside, nothing outside
    effect = measure(None, values, [Click(10, 10)])
    assert effect.expected == pytest.approx(0.6)
    assert effect.undecided == 1
    assert effect.weakest == pytest.approx(0.6)


def test_the_mask_may_contradict_an_older_click():
    values = square(20, 5, 15)
    assert measure(values, values, [Click(1, 1), Click(10, 10)]).weakest == 0


def test_parts_and_roughness():
    values = square(60, 5, 15)
    values[30:40, 30:40] = 255
    effect = measure(None, values, [Click(10, 10)])
    assert effect.parts == 2
    disk = np.hypot(*np.mgrid[-30:31, -30:31]) < 25
    assert measure(None, disk * np.uint8(255), [Click(30, 30)]).roughness == pytest.approx(1, abs=0.08)


def test_how_sure_the_model_is_inside_and_around():
    values = square(40, 10, 30, 255)
    values[10:14, 10:30] = 150  # a fifth of the mask
    values[6:10, 10:30] = 100  # not the mask, but not nothing either
    effect = measure(None, values, [Click(20, 25)])
    assert effect.sure == pytest.approx((0.8 * 255 + 0.2 * 150) / 255)
    assert effect.tenth == pytest.approx(150 / 255)
    assert effect.stability_score == pytest.approx(320 / 480)  # 0.75 and more, of 0.25 and more
    assert 0 < effect.around < 100 / 255
    assert measure(None, square(40, 10, 30), [Click(20, 25)]).around == 0


def test_solidity_is_the_share_of_the_convex_hull():
    assert measure(None, square(40, 10, 30), [Click(20, 25)]).solidity == pytest.approx(1)
    corner = square(40, 10, 30)
    corner[10:20, 10:20] = 0  # an L of three quarters; its hull is the square less half a quarter
    assert measure(None, corner, [Click(25, 25)]).solidity == pytest.approx(0.75 / 0.875, abs=0.05)


def test_large_images_measure_like_small_ones():
    small, large = square(100, 20, 60), square(2000, 400, 1200)
    one = measure(small // 2, small, [Click(30, 50)])
    two = measure(large // 2, large, [Click(600, 1000)])
    for name in (
        "area",
        "change",
        "surprise",
        "expected",
        "parts",
        "sure",
        "tenth",
        "stability_score",
        "solidity",
        "around",
    ):
        assert getattr(one, name) == pytest.approx(getattr(two, name), abs=0.01)


def test_an_empty_answer_has_measures():
    nothing = np.zeros((10, 10), np.uint8)
    effect = measure(nothing, nothing, [])
    assert (effect.area, effect.change, effect.parts, effect.expected) == (0, 0, 0, 0)
    assert (effect.sure, effect.tenth, effect.stability_score, effect.solidity, effect.around) == (
        0,
        0,
        0,
        0,
        0,
    )


@pytest.mark.parametrize("shape", [(40, 65500), (65500, 40)])
def test_strips_thinner_than_a_step_are_measured(shape: tuple[int, int]):
    after = np.zeros(shape, np.uint8)
    after[: max(shape[0] // 2, 40), : max(shape[1] // 2, 40)] = 255  # half of the longer side
    effect = measure(None, after, [Click(10, 10)])
    assert effect.area == pytest.approx(0.5, abs=0.01)
    assert effect.weakest == 1
