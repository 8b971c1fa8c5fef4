"""What a job leaves on disk: taken up by the same job, thrown away by another one."""

import json
import time
from pathlib import Path

import pytest
import torch

from fine_tune.project import job_state
from fine_tune.project.job_state import JobState
from fine_tune.project.outcome import Outcome
from tests.fine_tune.shape_project import network

START = {"base": "base-1-00000000", "served": None, "effort": {"steps": 2}}
ACCEPTED = {1: "2026-01-01", 2: "2026-01-02"}


@pytest.fixture
def state(tmp_path: Path) -> JobState:
    state = JobState(tmp_path / "job")
    assert state.begin(START, ACCEPTED, 2) == (ACCEPTED, 2)
    return state


def test_tuned_weights_come_back_with_what_was_told(state: JobState, tmp_path: Path):
    tuned = network()
    with torch.no_grad():
        tuned.head.bias.add_(3.0)
    state.training.mkdir()
    state.save_tuned(tuned, {"steps": 7})
    assert not state.training.exists(), "it is no longer needed"
    again, other = JobState(tmp_path / "job"), network()
    assert again.begin(START, ACCEPTED, 2) == (ACCEPTED, 2)
    assert again.load_tuned(other) == {"steps": 7}
    assert torch.equal(other.head.bias, tuned.head.bias)


def test_the_job_is_about_what_it_began_with_and_still_is(state: JobState):
    now = {1: "2026-01-01", 2: "2026-02-02", 3: "2026-01-03"}
    assert state.begin(START, now, 3) == ({1: "2026-01-01"}, 2)


def test_where_nothing_is_as_it_was_the_job_begins_anew(state: JobState):
    state.save_tuned(network(), {})
    now = {1: "2026-02-01", 2: "2026-02-02", 3: "2026-01-03"}
    assert state.begin(START, now, 3) == (now, 3)
    assert state.load_tuned(network()) is None


@pytest.mark.parametrize("change", [{"served": "project-3-1-00000000"}, {"effort": {"steps": 3}}])
def test_another_start_throws_it_away(state: JobState, change: dict):
    state.save_tuned(network(), {})
    now = {5: "2026-05-05"}
    assert state.begin({**START, **change}, now, 1) == (now, 1)
    assert state.load_tuned(network()) is None


def test_what_is_old_is_thrown_away(state: JobState, monkeypatch: pytest.MonkeyPatch):
    state.save_tuned(network(), {})
    later = time.time() + job_state.LIFE_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    state.begin(START, ACCEPTED, 2)
    assert state.load_tuned(network()) is None


def test_an_outcome_is_told_to_a_job_of_its_kind(state: JobState):
    assert state.finished(False) is None
    made = Outcome("promoted", "better", "project-3-1-0a1b2c3d")
    state.save_outcome(made)
    assert state.finished(False) == (made, ACCEPTED, None, False)
    state.save_outcome(made, settled=True)
    assert state.finished(False) == (made, ACCEPTED, None, True)
    assert state.finished(True) is None
    state.clear()
    assert state.finished(False) is None


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"format": 99})])
def test_what_cannot_be_read_begins_anew(state: JobState, tmp_path: Path, text: str):
    (tmp_path / "job" / "begun.json").write_text(text)
    (tmp_path / "job" / "tuned.safetensors").write_bytes(b"cut off")
    assert state.load_tuned(network()) is None
    assert state.finished(False) is None
    assert state.begin(START, ACCEPTED, 2) == (ACCEPTED, 2)


def test_a_disk_that_cannot_be_written_ends_no_job(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_text("")
    state = JobState(tmp_path / "file" / "job")
    assert state.begin(START, ACCEPTED, 2) == (ACCEPTED, 2)
    state.save_tuned(network(), {})
    assert "would begin anew" in caplog.text
    assert "would train again" in caplog.text


def test_without_a_folder_nothing_is_kept():
    state = JobState(None)
    assert state.begin(START, ACCEPTED, 2) == (ACCEPTED, 2)
    state.save_tuned(network(), {})
    state.save_outcome(Outcome("promoted", ""))
    assert state.load_tuned(network()) is None
    assert state.finished(False) is None
    assert state.training is None
