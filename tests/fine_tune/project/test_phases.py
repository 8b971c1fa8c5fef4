"""Phases and the estimate of the time that is left."""

import time
from pathlib import Path
from typing import Any

import pytest

from fine_tune.project import phases
from fine_tune.project.phases import PACE, PHASES, Timeline


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Told:
    def __init__(self) -> None:
        self.facts: list[tuple[str, float, dict[str, Any]]] = []

    def __call__(self, phase: str, share: float, **facts: Any) -> None:
        self.facts.append((phase, share, facts))


def test_there_is_an_estimate_before_anything_is_known(clock: Clock):
    told = Told()
    timeline = Timeline(told)
    timeline.expect(phases.TRAIN, 300)
    timeline.begin(phases.COMPARE)
    phase, share, facts = told.facts[0]
    assert (phase, share) == (phases.COMPARE, 0.0)
    fixed = PACE["comparison"] + PACE["version"]
    assert facts["eta_s"] == round(300 * PACE["step"] + fixed)
    assert [entry["name"] for entry in facts["phases"]] == list(PHASES)


def test_a_phase_that_runs_tells_its_own_pace(clock: Clock):
    told = Told()
    timeline = Timeline(told)
    timeline.expect(phases.TRAIN, 100)
    timeline.begin(phases.TRAIN)
    clock.now = 50.0
    timeline.at(0.25, step=25)
    _, share, facts = told.facts[-1]
    assert (share, facts["step"]) == (0.25, 25)
    by_name = {entry["name"]: entry for entry in facts["phases"]}
    assert by_name[phases.TRAIN]["left_s"] == 150
    assert by_name[phases.TRAIN]["seconds"] == 50
    timeline.begin(phases.PUBLISH)
    by_name = {entry["name"]: entry for entry in told.facts[-1][2]["phases"]}
    assert (by_name[phases.TRAIN]["share"], by_name[phases.TRAIN]["left_s"]) == (1, 0)
    assert timeline.seconds() == {phases.TRAIN: 50.0}


def test_the_next_job_goes_by_the_pace_of_the_last(clock: Clock, tmp_path: Path):
    first = Timeline(Told(), tmp_path / "pace.json")
    first.begin(phases.TRAIN)
    clock.now = 200.0
    first.begin(phases.JUDGE)
    clock.now = 203.0
    first.close({phases.TRAIN: 100, phases.JUDGE: 2})
    second = Timeline(Told(), tmp_path / "pace.json")
    second.expect(phases.TRAIN, 10)
    fixed = PACE["comparison"] + PACE["version"]
    assert second.left() == pytest.approx(20 + fixed)
    second.expect(phases.JUDGE, 100)
    assert second.left() == pytest.approx(20 + fixed + 100 * PACE["click"]), "two clicks tell no pace"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": "fast"}'])
def test_a_pace_that_cannot_be_read_is_not_used(tmp_path: Path, text: str):
    (tmp_path / "pace.json").write_text(text)
    timeline = Timeline(Told(), tmp_path / "pace.json")
    timeline.expect(phases.TRAIN, 100)
    assert timeline.left() > 100 * PACE["step"]


def test_a_pulse_repeats_what_was_told_so_that_the_job_can_be_ended(clock: Clock):
    told = Told()
    timeline = Timeline(told)
    timeline.begin(phases.JUDGE)
    timeline.at(0.5, loss=1.0)
    timeline.pulse()
    assert told.facts[-1][:2] == (phases.JUDGE, 0.5)
    assert told.facts[-1][2]["loss"] == 1.0


def test_a_phase_without_work_is_skipped(clock: Clock):
    timeline = Timeline(Told())
    timeline.expect(phases.JUDGE, 1000)
    timeline.skip(phases.JUDGE)
    assert timeline.left() == PACE["comparison"] + PACE["version"]
