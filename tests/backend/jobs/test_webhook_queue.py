import logging
import re
from collections.abc import Iterator

import pytest

from backend.jobs.webhook_queue import BACKLOG, NEVER, WebhookQueue
from backend.metrics import Metrics
from backend.redis_store import OptionalRedis
from fine_tune.project.ledger import Ledger
from tests.backend.redis_server import Failover, RedisServer
from tests.waiting import until


def saved(number: int) -> dict:
    annotation = {
        "id": number,
        "task": 9,
        "updated_at": "2026-01-01T10:00:00Z",
        "result": [{"rle": [1] * 10}],
    }
    return {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": {"id": 3, "token": "secret"}}


@pytest.fixture
def events(redis_server: RedisServer) -> Iterator[WebhookQueue]:
    events = WebhookQueue(OptionalRedis(redis_server.url), Metrics(), retry_s=0.05)
    yield events
    events.stop()


def test_events_reach_the_ledger(events: WebhookQueue, redis_server: RedisServer) -> None:
    assert events.put("ANNOTATION_CREATED", saved(1))
    assert events.put("PROJECT_UPDATED", {"project": {"id": 3}})
    events.flush()
    assert list(Ledger(redis_server.client()).annotations(3)) == [1]


def test_annotations_made_from_predictions_lose_their_masks_and_nothing_else(
    events: WebhookQueue, redis_server: RedisServer
) -> None:
    several = [saved(number)["annotation"] for number in (1, 2)]
    several[1]["result"], several[1]["result_count"] = [], 0
    assert events.put("ANNOTATIONS_CREATED", {"annotation": several, "project": {"id": 3}})
    events.flush()
    kept = Ledger(redis_server.client()).annotations(3)
    assert {number: record["empty"] for number, record in kept.items()} == {1: False, 2: True}
    assert b"rle" not in b"".join(redis_server.client().hvals("clickmask:ledger:3:annotations"))


@pytest.mark.parametrize("project", [3, "3", "3.1795333633", {"id": "3"}])
def test_a_project_may_be_named_in_any_form(
    events: WebhookQueue, redis_server: RedisServer, project: object
) -> None:
    events.put("ANNOTATION_CREATED", {**saved(1), "project": project})
    events.flush()
    assert list(Ledger(redis_server.client()).annotations(3)) == [1]


def test_a_deleted_project_is_forgotten(events: WebhookQueue, redis_server: RedisServer) -> None:
    events.put("ANNOTATION_CREATED", saved(1))
    events.put("PROJECT_DELETED", {"project": {"id": 3}})
    events.flush()
    assert Ledger(redis_server.client()).projects() == []


def test_an_event_that_redis_will_never_take_does_not_hold_up_the_others(
    events: WebhookQueue, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.client().set("clickmask:ledger:4:annotations", "of another program")
    events.put("ANNOTATION_CREATED", {**saved(1), "project": {"id": 4}})
    events.put("ANNOTATION_CREATED", saved(2))
    events.flush()
    assert list(Ledger(redis_server.client()).annotations(3)) == [2]
    assert re.search("annotation 1 of task 9, project 4 is left out: .*WRONGTYPE", caplog.text)


@pytest.mark.parametrize(
    ("said", "lasts"),
    [
        (
            "WRONGTYPE Operation against a key holding the wrong kind of value script: 1f, on @user_script:2.",
            True,
        ),
        ("Error running script (call to f_1f): @user_script:2: WRONGTYPE Operation against a key", True),
        ("user_script:2: attempt to index a nil value script: 1f, on @user_script:2.", True),
        (
            "Error running script (call to f_1f): @user_script:2: user_script:2: attempt to index a nil value",
            True,
        ),
        ("command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:2.", False),
        (
            "Error running script (call to f_1f): @user_script:2: @user_script: 2: -OOM command not allowed",
            False,
        ),
    ],
)
def test_what_lasts_is_told_from_what_passes_in_every_redis(said: str, lasts: bool) -> None:
    assert bool(NEVER.match(said)) is lasts


def test_events_wait_for_redis_to_come_back(events: WebhookQueue, redis_server: RedisServer) -> None:
    redis_server.stop()
    for number in range(20):
        assert events.put("ANNOTATION_CREATED", saved(number))
    redis_server.start()
    events.flush()
    assert len(Ledger(redis_server.client()).annotations(3)) == 20


def test_events_find_the_redis_that_took_over(failover: Failover) -> None:
    events = WebhookQueue(OptionalRedis(failover.url), Metrics(), retry_s=0.05)
    events.put("ANNOTATION_CREATED", saved(1))
    events.flush()
    failover.happen()
    events.put("ANNOTATION_CREATED", saved(2))
    until("the event", lambda: list(Ledger(failover.client()).annotations(3)) == [2])
    events.stop()


def test_a_body_the_ledger_refuses_does_not_stop_the_line(
    events: WebhookQueue, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    events.put("ANNOTATION_CREATED", {"project": {"id": 3}})
    events.put("ANNOTATION_CREATED", saved(2))
    events.flush()
    assert list(Ledger(redis_server.client()).annotations(3)) == [2]
    assert "annotation.id is missing" in caplog.text


@pytest.mark.parametrize(
    "odd", [{"id": True}, {"id": 1, "reviews": 5}, {"id": [1]}, {"id": 1, "task": object()}, 5, None]
)
def test_an_odd_body_does_not_stop_the_line(
    events: WebhookQueue, redis_server: RedisServer, odd: object
) -> None:
    events.put("ANNOTATION_CREATED", {"annotation": odd, "project": {"id": 4}})
    events.put("ANNOTATIONS_DELETED", {"annotations": [odd], "project": {"id": 4}})
    events.put("ANNOTATION_CREATED", saved(2))
    events.flush()
    assert list(Ledger(redis_server.client()).annotations(3)) == [2]


def test_names_that_anybody_may_send_are_counted_together() -> None:
    metrics = Metrics()
    events = WebhookQueue(OptionalRedis(None), metrics)
    for action in ("START_TRAINING", "made up", "made up too"):
        events.put(action, {})
    text = metrics.exposition().decode()
    assert 'clickmask_webhook_events_total{action="START_TRAINING",outcome="lost"} 1.0' in text
    assert 'clickmask_webhook_events_total{action="other",outcome="lost"} 2.0' in text
    assert "made up" not in text


def test_what_cannot_be_kept_is_logged_by_name_and_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    assert not WebhookQueue(OptionalRedis(None), Metrics()).put("ANNOTATION_CREATED", saved(77))
    assert "annotation 77 of task 9" in caplog.text
    assert "secret" not in caplog.text


def test_a_line_that_is_too_long_is_logged(
    events: WebhookQueue, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.stop()
    taken = [events.put("ANNOTATION_CREATED", saved(number)) for number in range(BACKLOG + 3)]
    assert 1 <= taken.count(False) <= 3
    assert "events wait for Redis" in caplog.text


def test_stopping_writes_what_is_left_and_logs_what_cannot_be(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    events = WebhookQueue(OptionalRedis(redis_server.url), Metrics(), retry_s=0.05)
    for number in range(5):
        events.put("ANNOTATION_CREATED", saved(number))
    events.stop(timeout_s=60)
    assert len(Ledger(redis_server.client()).annotations(3)) == 5
    other = WebhookQueue(OptionalRedis(redis_server.url), Metrics(), retry_s=0.05)
    redis_server.stop()
    other.put("ANNOTATION_CREATED", saved(99))
    other.stop(timeout_s=60)
    assert "annotation 99 of task 9, project 3 is lost at shutdown" in caplog.text
