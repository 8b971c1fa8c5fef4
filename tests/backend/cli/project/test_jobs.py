"""`clickmask jobs` with a real Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.cli import main
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
