"""Lost webhooks are found without a training, with a real Redis and over real HTTP."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from backend.jobs.reconcile_job import DONE, compare_all, enqueue
from backend.label_studio.client import BATCH, LabelStudio
from backend.label_studio.task_states import TaskStates
from backend.redis_store import RECONCILIATION
from backend.settings import Settings
from fine_tune.project import keys
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Scheduler
from tests.backend.annotated_project import PROJECT, annotated, export, task
from tests.backend.http_server import Web, answers
from tests.backend.redis_server import RedisServer

COUNT = 3
MASK = np.eye(40, dtype=bool)


@pytest.fixture
def project() -> Iterator[Web]:
    web = annotated(COUNT)
    yield web
    web.close()


@pytest.fixture
def settings(project: Web, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, label_studio_url=project.url, train_after=COUNT)


def exported(web: Web) -> list[list[int]]:
    """The tasks whose annotations were asked for, by request."""
    return [
        [int(number) for number in parse_qs(urlsplit(path).query)["ids[]"]]
        for path in web.paths()
        if "export" in path
    ]


def test_the_annotation_that_would_have_begun_a_training_is_found(
    project: Web, settings: Settings, redis_server: RedisServer
):
    client = redis_server.client()
    for number in (1, 2):
        body = {"annotation": task(number, MASK)["annotations"][0], "project": {"id": PROJECT}}
        Ledger(client).record("ANNOTATION_CREATED", body)
    compare_all(settings, client)
    (job,) = Scheduler(client).jobs()
    assert job.meta["why"] == "3 new annotations"


def test_a_project_whose_webhooks_never_arrive_is_compared_and_a_lost_one_is_passed_over(
    project: Web, settings: Settings, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
):
    client, ledger = redis_server.client(), Ledger(redis_server.client())
    project.routes["/api/projects/2/"] = answers(403, b"{}")
    ledger.meet(2)
    ledger.meet(PROJECT)
    compare_all(settings, client)
    assert sorted(ledger.annotations(PROJECT)) == [1, 2, 3]
    assert "project 2 is not compared" in caplog.text
    Ledger(client).record("ANNOTATION_CREATED", {"annotation": {"id": 1}, "project": {"id": 2}})
    compare_all(dataclasses.replace(settings, train_after=1), client)  # a job could not read it either
    assert [job.meta["project"] for job in Scheduler(client).jobs()] == [PROJECT]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (keys.records(2), "x"),
        (keys.fresh(2, "submitted"), "x"),
        (keys.latest(2), ["x"]),
        (keys.ended(2), "1e18"),
        (f"{RECONCILIATION}tasks:2", {"junk": "x"}),
        (keys.PROJECTS, ["junk"]),
        (keys.records("x"), {"1": "x"}),  # type: ignore[arg-type]
    ],
)
def test_a_record_that_cannot_be_read_keeps_no_other_project_from_being_compared(
    project: Web,
    settings: Settings,
    redis_server: RedisServer,
    key: str,
    value: str | list[str] | dict[str, str],
):
    client, ledger = redis_server.client(), Ledger(redis_server.client())
    for path in ("", "export"):
        project.routes[f"/api/projects/2/{path}"] = project.routes[f"/api/projects/3/{path}"]
    ledger.meet(2)
    ledger.meet(PROJECT)
    body = {"annotation": task(1, MASK)["annotations"][0], "project": {"id": 2}}
    ledger.record("ANNOTATION_CREATED", body)
    if isinstance(value, str):
        client.set(key, value)
    elif isinstance(value, list):
        client.sadd(key, *value)
    else:
        client.hset(key, mapping=value)
    compare_all(dataclasses.replace(settings, train_after=1), client)
    assert sorted(ledger.annotations(PROJECT)) == [1, 2, 3]
    assert PROJECT in [job.meta["project"] for job in Scheduler(client).jobs()]


def test_only_tasks_that_changed_are_read(project: Web, settings: Settings, redis_server: RedisServer):
    client, ledger = redis_server.client(), Ledger(redis_server.client())
    ledger.meet(PROJECT)
    compare_all(settings, client)
    compare_all(settings, client)
    assert [sorted(tasks) for tasks in exported(project)] == [[1, 2, 3]]
    changed = task(1, MASK)
    changed["annotations"][0]["updated_at"] = "2026-01-02T00:00:00.000000Z"
    export(project, [changed, task(2, MASK), task(3, MASK)])
    compare_all(settings, client)
    assert exported(project)[1:] == [[1]]
    assert ledger.annotations(PROJECT)[1]["updated_at"] == "2026-01-02T00:00:00.000000Z"
    without = {**task(2, MASK), "annotations": [], "updated_at": "2026-01-03"}
    export(project, [changed, without, task(3, MASK)])
    compare_all(settings, client)
    assert exported(project)[2:] == [[2]]
    assert sorted(ledger.annotations(PROJECT)) == [1, 3]
    export(project, [changed, without])
    compare_all(settings, client)
    assert len(exported(project)) == 3, "a task that is gone has nothing to ask for"
    assert sorted(ledger.annotations(PROJECT)) == [1]


def test_many_tasks_are_read_a_few_at_once(project: Web, settings: Settings, redis_server: RedisServer):
    client, ledger = redis_server.client(), Ledger(redis_server.client())
    ledger.meet(PROJECT)
    count = 2 * BATCH + 7
    export(project, [task(number, MASK) for number in range(1, count + 1)])
    compare_all(settings, client)
    assert [len(tasks) for tasks in exported(project)] == [BATCH, BATCH, 7]
    assert len(ledger.annotations(PROJECT)) == count
    assert len([path for path in project.paths() if "/api/tasks" in path and "page_size=100" in path]) == 2
    project.requests.clear()
    late = task(50, MASK)
    late["annotations"][0]["updated_at"] = "2026-02"
    export(project, [late if number == 50 else task(number, MASK) for number in range(1, count + 1)])
    compare_all(settings, client)
    assert exported(project) == [[50]]


def test_an_annotation_of_a_task_that_comes_while_tasks_are_read_stays(
    project: Web, settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    client, ledger, ask = redis_server.client(), Ledger(redis_server.client()), TaskStates.changes
    ledger.meet(PROJECT)

    def late(states: TaskStates, studio: LabelStudio) -> tuple[dict[int, str], set[int]]:
        found = ask(states, studio)
        body = {"annotation": {**task(4, MASK)["annotations"][0], "task": 4}, "project": {"id": PROJECT}}
        ledger.record("ANNOTATION_CREATED", body)
        return found

    monkeypatch.setattr(TaskStates, "changes", late)
    compare_all(settings, client)
    assert sorted(ledger.annotations(PROJECT)) == [1, 2, 3, 4]


def test_what_a_review_writes_is_no_change(project: Web, settings: Settings, redis_server: RedisServer):
    client = redis_server.client()
    Ledger(client).meet(PROJECT)
    compare_all(settings, client)
    before = {
        "id": 2,
        "updated_at": "2026-01-01T00:00:02.000000Z",
        "total_annotations": 1,
        "cancelled_annotations": 0,
    }
    TaskStates(client, PROJECT).follow(before, {"updated_at": "2026-03"})
    export(project, [task(1, MASK), {**task(2, MASK), "updated_at": "2026-03"}, task(3, MASK)])
    project.requests.clear()
    compare_all(settings, client)
    assert exported(project) == []


def test_a_project_that_is_gone_is_forgotten(project: Web, settings: Settings, redis_server: RedisServer):
    client, ledger = redis_server.client(), Ledger(redis_server.client())
    ledger.meet(PROJECT)
    compare_all(settings, client)
    assert Scheduler(client).waiting(PROJECT) is not None
    del project.routes["/api/projects/3/"]
    there = project.routes.pop("/api/projects")
    compare_all(settings, client)
    assert ledger.projects() == [PROJECT], "anything may answer 404: a wrong address, too"
    project.routes["/api/projects"] = answers(200, b'{"results": [{"id": 4}], "count": 1}')
    compare_all(settings, client)
    assert ledger.projects() == []
    assert Scheduler(client).waiting(PROJECT) is None
    assert not [key for key in client.keys("clickmask:*") if b"3" in key.split(b":")]
    project.routes["/api/projects"] = there


def test_a_comparison_that_failed_is_made_up_for(project: Web, settings: Settings, redis_server: RedisServer):
    client, ledger = redis_server.client(), Ledger(redis_server.client())
    ledger.meet(PROJECT)
    there = project.routes.pop("/api/projects/3/export")
    compare_all(settings, client)
    assert ledger.annotations(PROJECT) == {}
    project.routes["/api/projects/3/export"] = there
    compare_all(settings, client)
    assert len(ledger.annotations(PROJECT)) == COUNT


def test_an_event_whose_job_was_never_queued_gets_it(
    project: Web, settings: Settings, redis_server: RedisServer
):
    client = redis_server.client()
    Ledger(client).meet(PROJECT)
    compare_all(settings, client)
    (job,) = Scheduler(client).jobs()
    Scheduler(client).cancel(job.id)
    compare_all(settings, client)
    assert Scheduler(client).waiting(PROJECT) is not None


def test_one_comparison_a_period_whoever_asks(redis_server: RedisServer):
    client = redis_server.client()
    assert enqueue(client, 0) is None
    assert enqueue(client, 600) is not None
    assert enqueue(client, 600) is None
    assert 0 < client.ttl(DONE) <= 600
    client.delete(DONE)  # as when the period is over
    assert enqueue(client, 600) is not None
