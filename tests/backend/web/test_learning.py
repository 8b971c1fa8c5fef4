"""Figures of what is learned: gathered beside the requests, whatever Redis holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.jobs.policy import policy
from backend.redis_store import QUALITY
from backend.settings import Settings
from backend.web.learning import Learning, LearningFigures
from fine_tune.project import keys
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome, remember
from fine_tune.project.scheduler import Scheduler
from tests.backend.redis_server import RedisServer
from tests.waiting import until


@pytest.fixture
def settings(tmp_path: Path, redis_server: RedisServer) -> Settings:
    return Settings(home=tmp_path, redis_url=redis_server.url)


def annotate(redis_server: RedisServer, project: int, count: int) -> None:
    for number in range(count):
        annotation = {"id": number, "task": 2, "updated_at": "2026", "result_count": 1}
        body = {"annotation": annotation, "project": {"id": project}}
        Ledger(redis_server.client()).record("ANNOTATION_CREATED", body)


def gathered(figures: LearningFigures) -> Learning:
    """The figures once they are there: on a busy machine the first answer may come without."""
    until("a project", lambda: figures.latest().projects)
    latest = figures.latest()
    figures.close()
    return latest


def test_projects_and_jobs_are_counted(settings: Settings, redis_server: RedisServer) -> None:
    annotate(redis_server, 3, 2)
    client = redis_server.client()
    job = Scheduler(client, policy(settings)).request(3, "asked for")
    remember(client, 3, Outcome("promoted", "better"))
    learning = gathered(LearningFigures(settings))
    (project,) = learning.projects
    assert (project.id, project.known, project.accepted, project.fresh) == (3, 2, 2, 2)
    assert [outcome.status for outcome in project.outcomes] == ["promoted"]
    assert learning.states == {"queued": 1}
    assert [entry.job["id"] for entry in learning.queue.waiting] == [job.id]


def test_a_record_that_cannot_be_read_costs_its_project_alone(
    settings: Settings, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis_server.client()
    for project in (3, 4, 5, 6):
        annotate(redis_server, project, 1)
    client.lpush(keys.outcomes(4), json.dumps({"status": "promoted"}))
    client.hset(f"{QUALITY}5", "1/cm", b"[")
    client.delete(keys.records(6))
    client.set(keys.records(6), "of another type")
    client.sadd(keys.PROJECTS, "junk")
    learning = gathered(LearningFigures(settings))
    assert 3 in [project.id for project in learning.projects]
    assert len(learning.projects) + caplog.text.count("figures left out") == 4


def test_figures_are_not_gathered_for_every_request(
    settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.web.learning.AGE_S", 600.0)
    figures = LearningFigures(settings)
    annotate(redis_server, 3, 1)
    first = gathered(figures)
    annotate(redis_server, 4, 1)
    assert figures.latest() is first


def test_whoever_looks_after_an_hour_is_not_shown_what_was_an_hour_ago(
    settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = LearningFigures(settings)
    annotate(redis_server, 3, 1)
    gathered(figures)
    annotate(redis_server, 4, 1)
    monkeypatch.setattr("backend.web.learning.FIRST_S", 60.0)  # on a busy machine, too
    monkeypatch.setattr(figures, "_due", figures._due - 3600)
    assert [project.id for project in figures.latest().projects] == [3, 4]


def test_without_redis_there_is_nothing(tmp_path: Path) -> None:
    figures = LearningFigures(Settings(home=tmp_path))
    assert figures.latest() == Learning()
    figures.close()


def test_while_redis_is_down_the_last_figures_stay(
    settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.web.learning.AGE_S", 600.0)
    annotate(redis_server, 3, 1)
    figures = LearningFigures(settings)
    first = gathered(figures)
    redis_server.stop()
    tried = []
    monkeypatch.setattr(figures._redis, "_rest", tried.append)
    monkeypatch.setattr(figures, "_due", 0.0)
    figures.latest()
    figures.close(60)
    assert tried
    assert figures.latest() is first
