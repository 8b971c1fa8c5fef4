"""`clickmask jobs` with a real Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.cli import main
from backend.cli.project.jobs import _bars
from fine_tune.project.scheduler import Scheduler
from tests.backend.annotated_project import PROJECT
from tests.backend.redis_server import RedisServer


@pytest.fixture
def environment(redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKMASK_REDIS_URL", redis_server.url)
    monkeypatch.setenv("CLICKMASK_HOME", str(tmp_path))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_a_job_is_queued_listed_and_cancelled(environment: None) -> None:
    identity = json.loads(run("fine-tune", str(PROJECT), "--json").output)["job"]
    (row,) = json.loads(run("jobs", "list", "--json").output)
    assert (row["id"], row["project"], row["status"]) == (identity, PROJECT, "queued")
    assert run("jobs", "cancel", identity).exit_code == 0
    (row,) = json.loads(run("jobs", "list", "--json").output)
    assert row["status"] == "canceled"
    watched = run("jobs", "watch", identity)
    assert watched.exit_code == 1
    assert "canceled" in watched.output


def test_jobs_that_are_not_there_are_named(environment: None) -> None:
    for command in ("watch", "cancel"):
        answer = run("jobs", command, "nothing")
        assert answer.exit_code == 1
        assert "job" in answer.output
        assert "Traceback" not in answer.output


def test_no_jobs_yet(environment: None) -> None:
    assert "no jobs yet" in run("jobs", "list").output
    assert json.loads(run("jobs", "list", "--json").output) == []


def test_the_table_says_what_a_job_waits_for(environment: None) -> None:
    run("fine-tune", str(PROJECT))
    shown = " ".join(run("jobs", "list").output.split())
    assert "queued" in shown


def test_brackets_in_what_others_wrote_are_shown(environment: None, redis_server: RedisServer) -> None:
    run("fine-tune", str(PROJECT))
    (job,) = Scheduler(redis_server.client()).jobs()
    job.meta |= {"why": "[/x] at [::1]", "phase": "[b]"}
    job.save_meta()
    answer = run("jobs", "list")
    assert answer.exit_code == 0, answer.output
    assert {"[/x]", "[::1]", "[b]"} <= set(answer.output.split())


def test_every_phase_has_its_bar_and_the_job_an_estimate():
    phases = [
        {"name": "fetching images", "share": 1.0, "seconds": 30.0, "left_s": 0},
        {"name": "training", "share": 0.5, "seconds": 100.0, "left_s": 100},
        {"name": "judging on held-out images", "share": 0.0, "seconds": 0.0, "left_s": 30},
    ]
    values = {
        "status": "started",
        "result": "",
        "phase": "training",
        "share": 0.5,
        "eta_s": 130,
        "phases": phases,
    }
    work = {"step": 180, "steps": 360, "loss": 0.25}
    whole, *bars = _bars({**values, **work})
    assert whole == ("", 0.5, "whole job", "2:10 left")
    assert [bar[:2] for bar in bars] == [(phase["name"], phase["share"]) for phase in phases]
    assert [bar[3] for bar in bars] == ["", "step 180 of 360, loss 0.250", ""]


def test_a_job_of_an_older_worker_has_one_bar():
    (bar,) = _bars({"status": "started", "result": "", "phase": "training", "share": 0.4, "step": None})
    assert bar == ("", 0.4, "training", "")


def test_a_job_that_waits_says_for_what():
    (bar,) = _bars({"status": "queued", "result": "no worker runs"})
    assert bar == ("", 0.0, "queued: no worker runs", "")
