"""Figures of hand-made IoU curves."""

import json

import pytest

from model.click import Click
from model.evaluation.report import Record, Report


def record(name: str, *ious: float, seconds: float = 1.0) -> Record:
    return Record(name, ious, tuple(Click(i + 0.5, 0.5) for i in range(len(ious))), seconds)


FAST = record("fast", 0.85, 0.95, 0.96, 0.97)
SLOW = record("slow", 0.10, 0.50, 0.84, 0.91, seconds=3.0)  # 0.90 is reached by the last click
NEVER = record("never", 0.20, 0.70, 0.60, 0.65)
REPORT = Report([FAST, SLOW, NEVER])


def test_noc_is_the_first_click_that_reaches_the_target():
    assert [r.noc(0.85) for r in REPORT.records] == [1, 4, 4]
    assert [r.noc(0.90) for r in REPORT.records] == [2, 4, 4]
    assert REPORT.noc(0.90) == pytest.approx(10 / 3)


def test_noc_stays_with_the_first_success_when_a_later_click_spoils_it():
    assert record("x", 0.2, 0.9, 0.3, 0.95).noc(0.9) == 2


def test_at_limit_counts_a_success_at_the_last_click_as_the_field_does():
    assert REPORT.at_limit(0.90) == 2
    assert REPORT.at_limit(0.50) == 0


def test_curve_is_the_mean_after_each_click():
    assert REPORT.curve() == pytest.approx([1.15 / 3, 2.15 / 3, 0.8, 2.53 / 3])
    assert REPORT.iou_at(3) == pytest.approx(0.8)
    assert REPORT.best_within(3) == pytest.approx((0.96 + 0.84 + 0.7) / 3)


def test_spoiled_objects_lost_iou_by_a_click():
    assert REPORT.spoiled() == 1
    assert NEVER.worst_loss() == pytest.approx(0.1)
    assert FAST.worst_loss() == 0


def test_seconds_per_click_is_total_by_total():
    perfect = Record("perfect", (1.0, 1.0, 1.0, 1.0), (Click(0.5, 0.5),), 1.0)
    assert Report([SLOW, perfect]).seconds_per_click() == pytest.approx(4 / 5)


def test_worst_come_first():
    assert [r.sample for r in REPORT.worst(2, clicks=3)] == ["never", "slow"]
    assert [r.sample for r in REPORT.worst(9, clicks=20)] == ["never", "slow", "fast"]


def test_json_holds_figures_and_records_that_read_back():
    values = json.loads(json.dumps(REPORT.as_json()))
    assert values["noc"]["0.90"] == pytest.approx(10 / 3)
    assert values["iou_at"].keys() == {"1", "2", "3"}
    assert [Record.from_json(r) for r in values["records"]] == list(REPORT.records)


def test_a_report_needs_comparable_records():
    with pytest.raises(ValueError, match="same maximum"):
        Report([FAST, record("short", 0.5)])
    with pytest.raises(ValueError, match="needs records"):
        Report([])
