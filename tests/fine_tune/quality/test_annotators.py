"""Kinds of annotators, and the habits that are drawn for each annotation."""

import numpy as np
import pytest

from fine_tune.quality.annotators import SEEN, UNSEEN, Annotator, Kind


@pytest.mark.parametrize("name", [*SEEN, *UNSEEN])
def test_habits_are_drawn_from_the_ranges_of_the_kind(name: str):
    kind = (SEEN | UNSEEN)[name]
    drawn = [Annotator.draw(kind, np.random.default_rng(seed)) for seed in range(50)]
    for habit in ("tolerance", "patience", "bored", "jitter", "edges", "extra", "burst", "seconds"):
        low, high = getattr(kind, habit)
        values = [getattr(annotator, habit) for annotator in drawn]
        assert low - 1e-9 <= min(values) <= max(values) <= high + 1e-9, habit
        assert len(set(values)) > 1 or low == high, habit


def test_kinds_for_testing_are_not_trained_on():
    assert not SEEN.keys() & UNSEEN.keys()


def test_tolerances_are_drawn_on_a_logarithmic_scale():
    kind, rng = Kind(tolerance=(0.001, 0.1)), np.random.default_rng(0)
    drawn = [Annotator.draw(kind, rng).tolerance for _ in range(400)]
    assert np.median(drawn) == pytest.approx(0.01, rel=0.4)


def test_chances_of_zero_and_one_are_certain():
    rng = np.random.default_rng(0)
    drawn = [Annotator.draw(Kind(blind=1.0, misled=0.0), rng) for _ in range(20)]
    assert all(annotator.blind and not annotator.misled for annotator in drawn)


def test_hurried_pauses_are_shorter_and_all_are_positive():
    annotator = Annotator.draw(Kind(seconds=(4.0, 4.0)), np.random.default_rng(0))
    calm, hurried = (
        [annotator.pause(hurry, np.random.default_rng(seed)) for seed in range(50)] for hurry in (False, True)
    )
    assert min(hurried) > 0
    np.testing.assert_allclose(np.divide(hurried, calm), 0.3)
    assert np.median(calm) == pytest.approx(4.0, rel=0.3)
