"""Simulated annotators."""

import cv2
import numpy as np
import pytest

from fine_tune.training.simulated_clicks import Annotation, answer, begin, step
from model.scene import Scene
from tests.fine_tune.shape_scenes import shape_scene


def fresh(seed: int = 0) -> tuple[Annotation, np.random.Generator]:
    rng = np.random.default_rng(seed)
    scene = shape_scene(rng)
    return Annotation(scene, np.zeros(scene.truth.shape, np.uint8)), rng


@pytest.mark.parametrize("seed", range(20))
def test_the_first_click_lies_inside_the_object(seed):
    annotation, rng = fresh(seed)
    view = step(annotation, 64, rng)
    (click,) = annotation.clicks
    assert click.positive
    assert annotation.scene.truth[click.pixel(96, 96)]
    assert view.guide[1].any()
    assert not view.guide[[0, 2]].any()


@pytest.mark.parametrize("seed", range(20))
def test_the_next_click_lies_in_the_larger_error(seed):
    annotation, rng = fresh(seed)
    annotation.previous[:, 60:] = 255  # the right side is wrong and larger than the object
    step(annotation, 64, rng)
    click = annotation.clicks[-1]
    assert not click.positive
    assert click.x >= 60


def test_a_perfect_answer_ends_the_annotation():
    annotation, rng = fresh()
    view = step(annotation, 96, rng)
    goes_on = [answer(annotation, np.maximum(view.label, 0), rng) for _ in range(5)]
    assert annotation.iou() > 0.97
    assert not goes_on[-1]


def test_the_answer_becomes_the_previous_mask_of_the_next_view():
    annotation, rng = fresh(3)
    view = step(annotation, 96, rng)
    answer(annotation, np.maximum(view.label, 0), rng)
    annotation.look_again = False
    following = step(annotation, 96, rng)
    inside = following.label == 1
    assert following.guide[0][inside].mean() > 0.9
    assert following.guide[0][following.label == 0].mean() < 0.1


def test_pixels_beyond_the_image_and_ignored_ones_are_not_learned():
    annotation, rng = fresh()
    annotation.scene.ignore[:10] = True
    wide = Scene(*(np.ascontiguousarray(a[:48]) for a in vars(annotation.scene).values()))
    view = step(Annotation(wide, np.zeros((48, 96), np.uint8)), 96, rng)
    assert (view.label[:24] == -1).all()  # padding above a 2:1 image
    assert (view.label[24:33] == -1).all()  # the ignored rows
    assert (view.label[40:70] >= 0).all()


def test_annotations_start_from_nothing_boxes_masks_and_several_clicks():
    rng = np.random.default_rng(0)
    scene = shape_scene(rng)
    kinds = {"box": 0, "mask": 0, "clicks": 0, "nothing": 0}
    for _ in range(300):
        start = begin(scene, rng)
        values = set(np.unique(start.previous))
        kind = (
            "clicks" if start.clicks else "box" if 128 in values else "mask" if 255 in values else "nothing"
        )
        kinds[kind] += 1
    assert kinds["nothing"] > 100
    assert min(kinds.values()) > 5


def test_the_same_seed_makes_the_same_clicks():
    clicks = []
    for _ in range(2):
        annotation, rng = fresh(11)
        for _ in range(4):
            view = step(annotation, 64, rng)
            answer(annotation, view.guide[1] * 0.9, rng)
        clicks.append(annotation.clicks)
    assert clicks[0] == clicks[1]


def test_what_a_later_click_changed_is_looked_at_closer_now_and_then():
    rng, closer = np.random.default_rng(1), 0
    for seed in range(40):
        annotation, _ = fresh(seed)
        goes_on = True
        while goes_on:
            clicks, near = len(annotation.clicks), annotation.closer
            view = step(annotation, 96, rng)
            if near is not None:
                closer += 1
                assert len(annotation.clicks) == clicks  # the same click once more
                assert abs(annotation.window.side - near.side) <= 1
                assert view.label.shape == (96, 96)
            slip = np.zeros((96, 96), np.uint8)
            cv2.circle(slip, rng.integers(20, 76, 2).tolist(), 7, 1, -1)
            goes_on = answer(annotation, np.where(slip, 1 - view.label, view.label).clip(0, 1), rng)
    assert closer > 5
