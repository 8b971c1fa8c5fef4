"""`clickmask fine-tune` with a real Redis, and a Label Studio in miniature."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.cli import main
from backend.jobs.policy import TASK
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Policy, Scheduler
from tests.backend.annotated_project import PROJECT, annotated
from tests.backend.http_server import Web
from tests.backend.redis_server import RedisServer


@pytest.fixture
def project(redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    web = annotated(3)
    monkeypatch.setenv("LABEL_STUDIO_URL", web.url)
    monkeypatch.setenv("CLICKMASK_REDIS_URL", redis_server.url)
    monkeypatch.setenv("CLICKMASK_HOME", str(tmp_path))
    yield web
    web.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_sync_finds_what_the_webhooks_missed(project: Web, redis_server: RedisServer) -> None:
    client = redis_server.client()
    gone = {"id": 99, "task": 9, "updated_at": "2026", "result_count": 1}
    Ledger(client).record("ANNOTATION_CREATED", {"annotation": gone, "project": {"id": PROJECT}})
    answer = run("fine-tune", str(PROJECT), "--sync", "--json")
    assert json.loads(answer.output) == {
        "taken over": 3,
        "deleted": 1,
        "accepted": 3,
        "new since the last job": 3,
    }
    assert Scheduler(client).jobs() == []


def test_asking_again_gives_the_job_that_waits(project: Web) -> None:
    identity = json.loads(run("fine-tune", str(PROJECT), "--json").output)["job"]
    assert json.loads(run("fine-tune", str(PROJECT), "--json").output)["job"] == identity


def test_the_pause_counts_from_a_training_in_the_foreground(project: Web, redis_server: RedisServer) -> None:
    ledger = Ledger(redis_server.client())
    scheduler = Scheduler(redis_server.client(), Policy(new=1, task=TASK))
    assert run("fine-tune", str(PROJECT), "--sync").exit_code == 0
    ledger.mark_seen(PROJECT, ledger.accepted(PROJECT, "submitted"))
    answer = run("fine-tune", str(PROJECT), "--now")
    assert answer.exit_code == 0
    assert "skipped" in answer.output
    new = {"id": 99, "task": 9, "updated_at": "2026-02", "result_count": 1}
    body = {"annotation": new, "project": {"id": PROJECT}}
    ledger.record("ANNOTATION_CREATED", body)
    job = scheduler.consider("ANNOTATION_CREATED", body)
    assert job is not None and job.get_status() == "scheduled", "not right after it"


def test_the_pause_counts_from_a_training_that_failed(project: Web, redis_server: RedisServer) -> None:
    project.close()
    answer = run("fine-tune", str(PROJECT), "--now")
    assert answer.exit_code == 1
    assert "cannot be reached" in answer.output
    assert Scheduler(redis_server.client()).last_end(PROJECT) > 0


def test_label_studio_that_is_away_is_one_sentence(project: Web) -> None:
    project.close()
    answer = run("fine-tune", str(PROJECT), "--sync")
    assert answer.exit_code == 1
    assert "cannot be reached" in answer.output


def test_without_redis_it_says_what_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLICKMASK_REDIS_URL", raising=False)
    monkeypatch.setenv("CLICKMASK_HOME", str(tmp_path))
    answer = run("fine-tune", str(PROJECT))
    assert answer.exit_code == 1
    assert "clickmask up" in answer.output
