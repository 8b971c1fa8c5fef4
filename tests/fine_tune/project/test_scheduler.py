"""One waiting job per project, whoever asks and however often."""

import threading
import time
from collections.abc import Iterator

import pytest
from rq.job import Job

from fine_tune.project import keys
from fine_tune.project import scheduler as scheduler_module
from fine_tune.project.ledger import Ledger
from fine_tune.project.lock import project_lock
from fine_tune.project.scheduler import GuardHeld, Policy, Scheduler
from tests.backend.redis_server import RedisServer

TASK = "tests.of.no_function"  # nothing runs here


@pytest.fixture
def scheduler(redis_server: RedisServer) -> Iterator[Scheduler]:
    yield Scheduler(redis_server.client(), Policy(new=3, pause_s=600, task=TASK))


def created(number: int, **fields: object) -> dict:
    annotation = {
        "id": number,
        "task": number,
        "updated_at": f"2026-01-01T00:00:{number:02}Z",
        "result_count": 1,
    }
    return {"annotation": {**annotation, **fields}, "project": {"id": 3}}


def arrive(server: RedisServer, scheduler: Scheduler, number: int, **fields: object) -> Job | None:
    body = created(number, **fields)
    Ledger(server.client()).record("ANNOTATION_CREATED", body)
    return scheduler.consider("ANNOTATION_CREATED", body)


def test_enough_new_annotations_start_one_job(redis_server: RedisServer, scheduler: Scheduler):
    assert arrive(redis_server, scheduler, 1) is None
    assert arrive(redis_server, scheduler, 2) is None
    assert arrive(redis_server, scheduler, 2) is None, "the same event again is no other annotation"
    assert arrive(redis_server, scheduler, 9, was_cancelled=True) is None
    first = arrive(redis_server, scheduler, 3)
    assert first is not None
    again = arrive(redis_server, scheduler, 4)
    assert again is not None and again.id == first.id
    assert scheduler.queue.get_job_ids() == [first.id]
    assert first.timeout == 7200
    assert first.args == [3] or first.args == (3,)


def test_what_a_job_has_seen_is_not_new(redis_server: RedisServer, scheduler: Scheduler):
    for number in (1, 2):
        arrive(redis_server, scheduler, number)
    ledger = Ledger(redis_server.client())
    ledger.mark_seen(3, ledger.accepted(3, "submitted"))
    assert arrive(redis_server, scheduler, 3) is None
    assert ledger.fresh(3, "submitted") == {3}


def test_soon_after_a_job_the_next_one_is_put_off(redis_server: RedisServer, scheduler: Scheduler):
    scheduler.mark_end(3)
    for number in (1, 2, 3):
        job = arrive(redis_server, scheduler, number)
    assert job is not None and job.get_status() == "scheduled"
    assert scheduler.queue.get_job_ids() == []
    sooner = scheduler.consider("START_TRAINING", {"project": {"id": 3}})
    assert sooner is not None and sooner.id == job.id, "the button pulls it forward"
    assert scheduler.queue.get_job_ids() == [job.id]
    assert scheduler.queue.scheduled_job_registry.get_job_ids() == []


@pytest.mark.parametrize(("tries", "pause"), [(2, 600), (3, 1200), (7, 2400), (5000, 86400)])
def test_after_jobs_that_failed_the_next_one_is_put_off_longer(
    redis_server: RedisServer,
    scheduler: Scheduler,
    tries: int,
    pause: int,
):
    def planned() -> float:
        job = [arrive(redis_server, scheduler, number) for number in (1, 2, 3)][-1]
        assert job is not None
        when = scheduler.queue.scheduled_job_registry.get_scheduled_time(job).timestamp()
        job.delete()
        return when - scheduler.last_end(3)

    for _ in range(tries):
        scheduler.mark_end(3, failed=True)
    assert planned() == pytest.approx(pause, abs=60)
    scheduler.mark_end(3)
    assert planned() == pytest.approx(600, abs=60)


def test_a_job_that_ended_while_the_clock_was_ahead_delays_the_next_one_by_the_pause_alone(
    redis_server: RedisServer, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        ahead = time.time() + 365 * 86400
        patch.setattr(time, "time", lambda: ahead)
        scheduler.mark_end(3)
    job = [arrive(redis_server, scheduler, number) for number in (1, 2, 3)][-1]
    assert job is not None
    when = scheduler.queue.scheduled_job_registry.get_scheduled_time(job).timestamp()
    assert when <= time.time() + scheduler.policy.pause_s


def test_annotations_that_come_while_a_job_runs_are_counted_when_it_ends(
    redis_server: RedisServer,
    scheduler: Scheduler,
):
    with project_lock(redis_server.client(), 3):
        for number in (1, 2, 3):
            assert arrive(redis_server, scheduler, number) is None
        asked = scheduler.consider("START_TRAINING", {"project": {"id": 3}})
        assert asked is not None, "a person gets a job at once"
        assert scheduler.cancel(asked.id) == "cancelled"
    scheduler.mark_end(3)
    counted = scheduler.count(3)
    assert counted is not None and counted.get_status() == "scheduled"
    assert "3 new annotations" in str(counted.description)


def test_triggers_at_once_make_one_job(redis_server: RedisServer):
    barrier, found = threading.Barrier(8), []

    def ask() -> None:
        own = Scheduler(redis_server.client(), Policy(task=TASK))
        barrier.wait()
        found.append(own.request(3, "test").id)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_projects_do_not_wait_for_each_other(scheduler: Scheduler):
    assert scheduler.request(3, "test").id != scheduler.request(4, "test").id


def test_force_reaches_the_job_that_waits(scheduler: Scheduler):
    job = scheduler.request(3, "test")
    scheduler.request(3, "test", force=True)
    again = scheduler.job(job.id)
    assert again is not None and again.kwargs == {"force": True}


def test_a_waiting_job_is_cancelled_and_makes_room(scheduler: Scheduler):
    job = scheduler.request(3, "test")
    assert scheduler.cancel(job.id) == "cancelled"
    assert scheduler.queue.get_job_ids() == []
    assert scheduler.request(3, "test").id != job.id
    with pytest.raises(ValueError, match="only a job that waits or runs"):
        scheduler.cancel(job.id)


def test_after_a_cancelled_job_the_next_one_waits_for_the_pause(
    redis_server: RedisServer, scheduler: Scheduler
):
    for number in (1, 2, 3):
        job = arrive(redis_server, scheduler, number)
    assert job is not None and job.get_status() == "queued"
    scheduler.cancel(job.id)
    following = arrive(redis_server, scheduler, 4)
    assert following is not None and following.get_status() == "scheduled"


def test_a_job_that_a_worker_is_just_starting_is_told_of_its_end(scheduler: Scheduler):
    job = scheduler.request(3, "test")
    scheduler.queue.remove(job.id)  # as a worker takes it, which sets the status some time later
    assert scheduler.cancel(job.id) == "cancelled"
    assert scheduler.cancelled(job.id)


@pytest.mark.parametrize("body", [{}, {"project": None}, {"project": {"id": True}}])
def test_bodies_without_a_project_start_nothing(scheduler: Scheduler, body: dict):
    assert scheduler.consider("START_TRAINING", body) is None


def test_without_a_task_nothing_is_enqueued(redis_server: RedisServer):
    scheduler = Scheduler(redis_server.client())
    with pytest.raises(ValueError, match="name the function"):
        scheduler.request(3, "test")
    assert scheduler.jobs() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "a state of a newer version"),
        ("created_at", "yesterday"),
        ("timeout", "soon"),
        (None, "text"),
        (None, ""),
    ],
)
def test_a_job_whose_record_cannot_be_read_makes_room(
    redis_server: RedisServer, scheduler: Scheduler, field: str | None, value: str
):
    sound, damaged = scheduler.request(4, "test"), scheduler.request(3, "test")
    client, key = redis_server.client(), f"rq:job:{damaged.id}"
    client.hset(key, field, value) if field else client.delete(key)
    if field is None and value:
        client.set(key, value)
    assert scheduler.job(damaged.id) is None
    assert [job.id for job in scheduler.jobs()] == [sound.id]
    with pytest.raises(ValueError, match="is unknown"):
        scheduler.cancel(damaged.id)
    assert scheduler.request(3, "test").id != damaged.id
    client.set("clickmask:fine-tune:3:waiting", b"\xff")
    assert scheduler.request(3, "test").id != damaged.id


@pytest.mark.parametrize("junk", ["junk", "inf", "nan", "1e18", b"\xff"])
def test_times_and_counts_that_cannot_be_read_are_written_anew(
    redis_server: RedisServer, scheduler: Scheduler, junk: str | bytes
):
    client = redis_server.client()
    for key in (keys.ended(3), keys.failures(3)):
        client.set(key, junk)
    assert scheduler.last_end(3) == 0
    for number in (1, 2, 3):
        job = arrive(redis_server, scheduler, number)
    assert job is not None
    scheduler.mark_end(3, failed=True)
    assert client.get(keys.failures(3)) == b"1"
    client.delete(keys.failures(3))
    client.sadd(keys.failures(3), 1)
    scheduler.mark_end(3, failed=True)
    assert client.get(keys.failures(3)) == b"1"


def test_a_guard_that_is_never_given_back_is_named(
    redis_server: RedisServer, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scheduler_module, "GUARD_S", 0.05)
    redis_server.client().set(keys.guard(3), "junk")
    with pytest.raises(GuardHeld, match="fine-tune:3:guard in Redis is not given back"):
        scheduler.request(3, "test")
    monkeypatch.undo()
    redis_server.client().delete(keys.guard(3))
    assert scheduler.request(3, "test").get_status() == "queued"
