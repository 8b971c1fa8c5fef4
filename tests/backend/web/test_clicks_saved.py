"""Clicks saved so far: counted, with an interval that is as wide as little data makes it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backend.web.clicks_saved import Counted, count


def test_the_saved_clicks_of_a_project_that_got_better() -> None:
    base = [{"base-1-0a": (2, 8)}, {"base-1-0a": (1, 3)}, {"base-2-0b": (2, 9)}]
    own = [{"project-3-1-0c": (3, 6)}, {"project-3-2-0d": (2, 5)}, {"project-3-2-0d": (5, 9)}]
    saved = count([*base, *own])
    assert (saved.base.objects, saved.own.objects) == (5, 10)
    assert (saved.base.each, saved.own.each) == (4.0, 2.0)
    assert saved.saved == 20.0
    assert saved.known and saved.sure
    assert 0 < saved.low < 20 < saved.high


def test_an_annotation_may_have_objects_of_both() -> None:
    saved = count([{"base-1-0a": (1, 4), "project-3-1-0c": (1, 2)}] * 3)
    assert (saved.base.each, saved.own.each, saved.saved) == (4.0, 2.0, 6.0)


@pytest.mark.parametrize(
    "tallies",
    [[], [{}], [{"base-1-0a": (3, 9)}] * 5, [{"project-3-1-0c": (3, 9)}]],
)
def test_one_side_alone_tells_nothing(tallies: list) -> None:
    assert not count(tallies).known
    assert not count(tallies).sure


def test_one_annotation_of_a_side_is_not_sure() -> None:
    saved = count([*[{"base-1-0a": (1, 9)}] * 5, {"project-3-1-0c": (3, 3)}])
    assert saved.known and not saved.sure
    assert saved.low == -math.inf


def test_equal_models_are_rarely_called_better() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        made = [
            {name: (n, int(rng.poisson(3 * n * difficulty)) + n)}
            for name, images in (("base-1-0a", 12), ("project-3-1-0c", 8))
            for n, difficulty in zip(rng.integers(1, 5, images), rng.gamma(4, 0.25, images), strict=True)
        ]
        wrong += count(made).sure
    assert wrong / 400 < 0.08


def test_a_few_large_annotations_make_nothing_sure() -> None:
    rng, sizes = np.random.default_rng(0), [60, 3, 3, 3, 3]
    wrong = 0
    for _ in range(400):
        made = [
            {name: (n, int(rng.poisson(3 * n * difficulty)) + n)}
            for name in ("base-1-0a", "project-3-1-0c")
            for n, difficulty in zip(sizes, rng.gamma(4, 0.25, len(sizes)), strict=True)
        ]
        wrong += count(made).sure
    assert wrong / 400 < 0.08


def test_a_mean_is_over_objects_and_its_error_over_annotations() -> None:
    counted = Counted.of([(1, 2), (3, 12)])
    assert (counted.annotations, counted.objects, counted.each) == (2, 4, 3.5)
    assert counted.error == pytest.approx(np.sqrt(1.5**2 / 0.75 + 1.5**2 / 0.25) / 4)
    assert counted.freedom == pytest.approx(1)
    assert Counted.of([(1, 2)]).error == math.inf
    assert Counted.of([]).objects == 0
