"""Calibration brings predictions to the project's scale and leaves their order alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tune.quality.calibration import MIN_REVIEWED, Calibration, fit
from fine_tune.quality.network import Quality


def pairs(count: int, shift: float):
    rng = np.random.default_rng(0)
    odds = rng.normal(1.5, 1, count)
    predicted = [Quality(float(1 / (1 + np.exp(-o))), 0.1) for o in odds]
    return predicted, [float(1 / (1 + np.exp(-(o - shift)))) for o in odds]


def test_an_optimistic_model_is_put_right():
    predicted, true = pairs(200, shift=1.5)
    calibration = fit(predicted, true)
    before = np.mean([abs(q.iou - t) for q, t in zip(predicted, true, strict=True)])
    after = np.mean([abs(calibration.apply(q).iou - t) for q, t in zip(predicted, true, strict=True)])
    assert after < 0.2 * before
    assert calibration.reviewed == 200


def test_few_reviews_move_it_little():
    predicted, true = pairs(MIN_REVIEWED, shift=1.5)
    few, many = fit(predicted, true), fit(*pairs(1000, shift=1.5))
    assert many.offset < few.offset < 0


def test_uncertainty_follows_the_errors():
    predicted, true = pairs(300, shift=0)
    rng = np.random.default_rng(1)
    noisy = [float(np.clip(t + rng.normal(0, 0.3), 0, 1)) for t in true]
    assert fit(predicted, noisy).spread > 1.5 > fit(predicted, true).spread


def test_the_order_stays_even_where_reviews_contradict_it():
    predicted, true = pairs(100, shift=0)
    calibration = fit(predicted, true[::-1])
    assert calibration.slope > 0


@given(st.floats(0, 1), st.floats(0, 1))
def test_applying_keeps_the_order(one, other):
    calibration = Calibration(-0.7, 1.3, 2.0, 30)
    low, high = sorted((one, other))
    assert calibration.apply(Quality(low, 0.1)).iou <= calibration.apply(Quality(high, 0.1)).iou


def test_none_changes_nothing():
    assert Calibration().apply(Quality(0.4, 0.2)) == Quality(0.4, 0.2)


def test_too_few():
    with pytest.raises(ValueError, match="3 reviewed annotations are too few"):
        fit([Quality(0.5, 0.1)] * 3, [0.5] * 3)
