"""The gate promotes what is better, and says why it does not."""

import numpy as np
import pytest

from fine_tune.project.gate import Limits, Measured, judge, retains, surely_earlier
from model.evaluation.report import Record, Report

LIMITS = Limits(few=6, images=2, enough=20)


def measured(curves: np.ndarray, per_image: int = 2) -> Measured:
    """The same curves (objects x clicks) for both annotators."""
    records = [
        Record(f"image{i // per_image}#{i}", tuple(map(float, curve)), (), 0.0)
        for i, curve in enumerate(curves)
    ]
    return Measured({"classic": Report(records), "noisy": Report(records)})


def reaching(clicks: list[int], maximum: int = 10) -> np.ndarray:
    """Curves that reach IoU 0.92 at the given click, and rise steadily before."""
    return np.array([[0.92 if k >= n else 0.5 + 0.3 * k / n for k in range(1, maximum + 1)] for n in clicks])


def test_an_earlier_gain_counts_where_it_is_more_than_chance():
    one = np.linspace(0.3, 0.9, 24)[:, None] * np.ones((24, 5))
    chance = np.random.default_rng(0).normal(0, 0.1, (24, 1))
    assert surely_earlier(measured(one), measured(one + 0.05))
    assert not surely_earlier(measured(one), measured(one - 0.05))
    assert not surely_earlier(measured(one), measured(one + chance - chance.mean() + 0.005))
    assert not surely_earlier(measured(one), measured(one))


def test_fewer_clicks_are_promoted():
    verdict = judge(measured(reaching([6] * 24)), measured(reaching([3] * 24)), LIMITS)
    assert verdict.promoted
    assert verdict.saved == pytest.approx(3)
    assert verdict.interval == (3, 3)
    assert "6.0 -> 3.0" in verdict.reason
    assert (verdict.objects, verdict.images) == (24, 12)


def test_more_clicks_are_not():
    verdict = judge(measured(reaching([3] * 24)), measured(reaching([4] * 24)), LIMITS)
    assert not verdict.promoted
    assert verdict.saved == pytest.approx(-1)


def test_the_same_is_enough_only_while_there_are_few_objects():
    same = reaching([4] * 24)
    assert not judge(measured(same), measured(same), LIMITS).promoted
    verdict = judge(measured(same[:10]), measured(same[:10]), LIMITS)
    assert verdict.promoted
    assert "few" in verdict.reason


def test_a_worse_start_is_not_bought_with_fewer_clicks():
    worse = reaching([3] * 24)
    worse[:, :3] = 0.3
    worse[:, 3:] = 0.95
    verdict = judge(measured(reaching([6] * 24)), measured(worse), LIMITS)
    assert verdict.saved > 0
    assert not verdict.promoted


@pytest.mark.parametrize(
    ("before", "after", "good"),
    [(0.1, 0.15, False), (0.1, 0.5, True), (0.5, 0.51, False), (0.5, 0.49, False)],
)
def test_where_no_object_reaches_the_target_the_start_decides(before: float, after: float, good: bool):
    old, new = (measured(np.full((24, 10), iou)) for iou in (before, after))
    verdict = judge(old, new, LIMITS)
    assert verdict.promoted is good
    assert "are the masks right?" in verdict.reason


@pytest.mark.parametrize(("objects", "per_image"), [(5, 1), (12, 12)])
def test_too_little_is_held_out_to_tell(objects: int, per_image: int):
    before, after = (measured(reaching([n] * objects), per_image) for n in (6, 2))
    verdict = judge(before, after, LIMITS)
    assert not verdict.promoted
    assert "held out" in verdict.reason
    assert "--force" in verdict.reason


def test_what_is_no_number_is_never_promoted():
    broken = reaching([2] * 24)
    broken[3, 2] = np.nan
    verdict = judge(measured(reaching([6] * 24)), measured(broken), LIMITS)
    assert not verdict.promoted
    assert not retains(measured(reaching([6] * 24)), measured(broken), LIMITS)


def test_the_interval_grows_where_images_differ():
    before, after = reaching([6] * 24), reaching([6, 6, 2, 2] * 6)
    low, high = judge(measured(before), measured(after), LIMITS).interval
    assert 0 < low < 2 < high < 4


@pytest.mark.parametrize(("clicks", "kept"), [(4, True), (5, False)])
def test_the_retention_set_may_lose_a_little(clicks: int, kept: bool):
    after = reaching([clicks] + [4] * 3 + [clicks] * 4)
    assert retains(measured(reaching([4] * 8)), measured(after), LIMITS) is kept
