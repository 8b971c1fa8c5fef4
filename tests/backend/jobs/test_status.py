"""What a job waits for, or what became of it, in words."""

from __future__ import annotations

import pytest
from rq import Queue, Worker
from rq.job import JobStatus
from rq.serializers import JSONSerializer

from backend.jobs.policy import policy
from backend.jobs.status import NO_WORKER, announcement, count_workers, row, rows
from backend.settings import Settings
from fine_tune.project.scheduler import QUEUE, Scheduler
from tests import commands
from tests.backend.redis_server import RedisServer


def test_a_job_that_waits_says_for_what(redis_server: RedisServer):
    scheduler = Scheduler(redis_server.client(), policy(Settings()))
    queued = scheduler.request(3, "test")
    assert row(queued)["result"] == NO_WORKER
    assert announcement(queued) == f"job {queued.id} waits for a worker; {NO_WORKER}"
    queued.set_status(JobStatus.STARTED)
    assert announcement(queued) == f"job {queued.id} runs; watch it with `clickmask jobs watch {queued.id}`"
    job = scheduler.request(4, "test", delay_s=600)
    assert row(job)["result"].startswith("begins at 20")
    job.meta["problem"] = "Label Studio cannot be reached"
    assert row(job)["result"].startswith("is tried again at 20")
    assert row(job)["result"].endswith(": Label Studio cannot be reached")


def test_workers_of_others_and_killed_ones_are_not_counted(redis_server: RedisServer):
    client = redis_server.client()
    queued = Scheduler(client, policy(Settings())).request(3, "test")
    Worker(["default"], connection=client).register_birth()  # such as Label Studio's
    assert (count_workers(client), row(queued)["result"]) == (0, NO_WORKER)
    killed, living = (Worker([QUEUE], connection=client) for _ in range(2))
    killed.register_birth()
    living.register_birth()
    client.delete(killed.key)  # as when its time is over
    assert (count_workers(client), row(queued)["result"]) == (1, "")


def test_a_job_that_failed_says_why_without_a_traceback(redis_server: RedisServer):
    queue = Queue(QUEUE, connection=redis_server.client(), serializer=JSONSerializer)
    meta = {"project": 3, "phase": "waiting"}
    plain = queue.enqueue("os.listdir", "/there/is/no/such/folder", meta=meta)
    told = queue.enqueue(
        "os.listdir", "/there/is/no/such/folder", meta={**meta, "problem": "the disk is full"}
    )
    # In a process of its own: a worker keeps the signals of its process.
    commands.run({"CLICKMASK_REDIS_URL": redis_server.url}, "worker", "--burst").check_returncode()
    assert row(told)["result"] == "the disk is full"
    assert "No such file" in row(plain)["result"]
    assert "\n" not in row(plain)["result"]


def test_what_cannot_be_read_is_left_out_with_a_line_in_the_log(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
):
    client = redis_server.client()
    scheduler = Scheduler(client, policy(Settings()))
    good, *damaged = (scheduler.request(project, "test") for project in (3, 4, 5))
    client.lpush(scheduler.queue.key, b"\xff\xfe\x00")
    client.zadd(scheduler.queue.failed_job_registry.key, {b"\x80": 1, b"x:\xff": 2})
    client.hset(damaged[0].key, mapping={"status": "failed", "meta": b"\x80\x04junk"})
    client.hset(damaged[1].key, "status", "finished")
    client.xadd(f"rq:results:{damaged[1].id}", {"type": 1, "return_value": "%%%"})
    assert [values["id"] for values in rows(scheduler.jobs())] == [good.id]
    assert all(repr(entry) in caplog.text for entry in (b"\xff\xfe\x00", b"\x80"))
    assert all(f"job {job.id} is" in caplog.text for job in damaged)
