"""The command line: whole jobs and interpolations on a small set, and simulated verdicts."""

import json
import sys
from pathlib import Path

import pytest

from fine_tune.benchmark import gain, verdicts, whole_job
from fine_tune.benchmark.__main__ import main
from model.versions import checkpoint
from tests.fine_tune.mask_sets import write_set
from tests.fine_tune.shape_project import CARD, network


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_set(tmp_path / "cats", images=12)
    checkpoint.save(tmp_path / "weights", network(), CARD)

    def run(*options: str) -> dict:
        out = tmp_path / "figures.json"
        fixed = ("--checkpoint", str(tmp_path / "weights"), "--device", "cpu", "--accelerator", "cpu")
        monkeypatch.setattr(sys, "argv", ["benchmark", *options, *fixed, "--json", str(out)])
        main()
        return json.loads(out.read_text())

    return run


def test_a_whole_job_tells_phases_minutes_and_the_work(run, tmp_path: Path, capsys: pytest.CaptureFixture):
    figures = run(str(tmp_path / "cats"), "--images", "11", "--steps", "2", "--objects", "2")
    before, after = figures["rows"]
    assert tuple(before) == tuple(after) == gain.COLUMNS
    assert (before["images"], after["images"]) == ("before", "11")
    (job,) = figures["jobs"]
    assert tuple(job) == whole_job.COLUMNS
    assert job["steps"] == 2
    assert job["minutes"] == pytest.approx(sum(job[phase] for phase in whole_job.COLUMNS[2:7]))
    assert job["clicks"] > 0
    assert job["verdict"].partition(":")[0] in ("promoted", "kept back")
    printed = capsys.readouterr().out
    assert "| cats | 11 |" in printed
    assert "| set | images | training | choosing | judging |" in printed


def test_verdicts_are_simulated_without_a_set(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verdicts, "ROWS", ((0.0, 6, 6),))
    (row,) = run("--verdicts", "--repetitions", "10")["verdicts"]
    assert row["repetitions"] == 10


def test_something_must_be_named(run, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        run()
    assert "name a set" in capsys.readouterr().err
