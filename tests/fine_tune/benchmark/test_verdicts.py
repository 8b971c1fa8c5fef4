"""The gate on stand-ins whose truth is known: it seldom errs, and finds what there is to find."""

import numpy as np
import pytest

from fine_tune.benchmark import verdicts
from fine_tune.project.judging.gate import Limits

REPETITIONS = 200


def promoted(gain: float, objects: int, images: int) -> float:
    return float(np.mean([good for good, _ in verdicts.verdicts(gain, objects, images, REPETITIONS)]))


@pytest.mark.parametrize(("objects", "images"), [(40, 40), (40, 8), (20, 10), (10, 5), (6, 6)])
def test_noise_is_seldom_promoted(objects: int, images: int):
    # The gate errs in at most 5 %; of 200 repetitions 16 are allowed, which 5 % exceed once in 50 times.
    assert promoted(0.0, objects, images) <= 16 / REPETITIONS


def test_gains_are_found_the_more_the_larger_they_are():
    small, large = promoted(0.5, 40, 40), promoted(2.0, 40, 40)
    assert promoted(0.0, 40, 40) < small < large
    assert large > 0.9


def test_a_large_gain_needs_fewer_objects():
    clicked = [objects for _, objects in verdicts.verdicts(3.0, 40, 20, 50)]
    assert np.mean(clicked) < 25


def test_stand_ins_gain_what_they_are_made_to():
    shift, most = verdicts.shift_for(1.0, Limits().clicks), Limits().clicks
    rng = np.random.default_rng(5)
    objects = verdicts.Objects.draw(50_000, 50_000, rng)
    saved = objects.clicks(0.0, most, rng) - objects.clicks(shift, most, rng)
    assert saved.mean() == pytest.approx(1.0, abs=0.05)


def test_the_gate_sees_the_clicks_that_were_drawn():
    rng, most = np.random.default_rng(0), Limits().clicks
    objects = verdicts.Objects.draw(12, 4, rng)
    clicks = objects.clicks(0.0, most, rng)
    measured = objects.measured(clicks, most)
    np.testing.assert_allclose(measured.clicks(), clicks.mean(0))
    assert len(set(measured.images)) == 4


def test_a_row_of_the_table_says_what_was_simulated():
    (row,) = verdicts.table(20, [(2.0, 20, 10)])
    assert tuple(row) == verdicts.COLUMNS
    assert (row["objects"], row["images"], row["repetitions"]) == (20, 10, 20)
