"""The gate promotes what is surely better, looks no longer than it must, and says why it does not."""

import numpy as np
import pytest

from fine_tune.project.judging.gate import Limits, Look, Measured, Verdict, judge, retains
from model.evaluation.report import Record, Report

LIMITS = Limits(few=6, images=2)


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


def last(before: Measured, after: Measured) -> Verdict:
    """The verdict of the only look."""
    verdict = judge(before, after, LIMITS, Look(len(before.images), LIMITS.error, True))
    assert verdict is not None
    return verdict


def test_fewer_clicks_are_promoted():
    verdict = last(measured(reaching([6] * 24)), measured(reaching([3] * 24)))
    assert verdict.promoted
    assert verdict.saved == pytest.approx(3)
    assert verdict.interval == (3, 3)
    assert "6.0 -> 3.0" in verdict.reason
    assert (verdict.objects, verdict.images) == (24, 12)


def test_more_clicks_are_not():
    verdict = last(measured(reaching([3] * 24)), measured(reaching([4] * 24)))
    assert not verdict.promoted
    assert verdict.saved == pytest.approx(-1)


@pytest.mark.parametrize("count", [8, 24])
def test_the_same_is_never_enough(count: int):
    same = reaching([4] * count)
    verdict = last(measured(same), measured(same))
    assert not verdict.promoted
    assert "not better" in verdict.reason


def test_a_gain_that_may_be_chance_is_not_enough():
    before, after = reaching([6] * 24), reaching([2, 2, 8, 8, 6, 6, 3, 3] * 3)
    verdict = last(measured(before), measured(after))
    assert verdict.saved > 0 > verdict.interval[0]
    assert not verdict.promoted
    assert "not surely better" in verdict.reason


def test_few_objects_that_all_gain_are_enough():
    assert last(measured(reaching([8, 7, 9, 8, 7, 9])), measured(reaching([3, 3, 4, 4, 3, 4]))).promoted


def test_a_worse_start_is_not_bought_with_fewer_clicks():
    worse = reaching([3] * 24)
    worse[:, :3] = 0.3
    worse[:, 3:] = 0.95
    verdict = last(measured(reaching([6] * 24)), measured(worse))
    assert verdict.saved > 0
    assert not verdict.promoted


@pytest.mark.parametrize(
    ("before", "after", "good"),
    [(0.1, 0.15, False), (0.1, 0.5, True), (0.5, 0.51, False), (0.5, 0.49, False)],
)
def test_where_no_object_reaches_the_target_the_start_decides(before: float, after: float, good: bool):
    old, new = (measured(np.full((24, 10), iou)) for iou in (before, after))
    verdict = last(old, new)
    assert verdict.promoted is good
    assert "are the masks right?" in verdict.reason


@pytest.mark.parametrize(("objects", "per_image"), [(5, 1), (12, 12)])
def test_too_little_is_held_out_to_tell(objects: int, per_image: int):
    before, after = (measured(reaching([n] * objects), per_image) for n in (6, 2))
    verdict = last(before, after)
    assert not verdict.promoted
    assert "held out" in verdict.reason
    assert "--force" in verdict.reason


def test_what_is_no_number_is_never_promoted():
    broken = reaching([2] * 24)
    broken[3, 2] = np.nan
    verdict = last(measured(reaching([6] * 24)), measured(broken))
    assert not verdict.promoted
    assert not retains(measured(reaching([6] * 24)), measured(broken), LIMITS)


def test_the_interval_grows_where_images_differ():
    before, after = reaching([6] * 24), reaching([6, 6, 2, 2] * 6)
    low, high = last(measured(before), measured(after)).interval
    assert 0 < low < 2 < high < 4


@pytest.mark.parametrize(("clicks", "kept"), [(4, True), (5, False)])
def test_the_retention_set_may_lose_a_little(clicks: int, kept: bool):
    after = reaching([clicks] + [4] * 3 + [clicks] * 4)
    assert retains(measured(reaching([4] * 8)), measured(after), LIMITS) is kept
