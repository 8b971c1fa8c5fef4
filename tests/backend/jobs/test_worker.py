"""The worker: what becomes of jobs when Redis goes or time is up."""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
import redis
import rq.worker.worker_classes
from rq import Queue, Retry
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from backend.jobs import worker as worker_module
from backend.jobs.policy import policy
from backend.jobs.worker import Worker
from backend.settings import Settings
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import outcomes
from fine_tune.project.scheduler import QUEUE, Scheduler
from tests import commands
from tests.backend.annotated_project import PROJECT
from tests.backend.redis_server import RedisServer
from tests.backend.worker_home import COUNT, PATIENCE_S, WorkerHome, waits_for_redis
from tests.waiting import until


def test_a_redis_that_is_gone_during_a_job_does_not_end_the_worker(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
):
    client = redis_server.client()
    job, worker = Scheduler(client, policy(Settings())).request(3, "test"), Worker.of(Settings(), client)
    worker.register_birth()
    execution = Execution(id="one", job_id=job.id, connection=client)
    worker.maintain_heartbeats(job, execution)
    assert "Redis does not answer" not in caplog.text
    redis_server.stop()
    worker.maintain_heartbeats(job, execution)
    assert f"Redis does not answer while job {job.id} runs" in caplog.text


def monitored(
    client: redis.Redis, timeout_s: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[subprocess.Popen[bytes], Job]:
    """Have a worker look twice after a process as if it ran a job; return both when it has ended."""
    queue = Queue(QUEUE, connection=client, serializer=JSONSerializer)
    job = queue.enqueue("os.getpid", job_timeout=timeout_s, retry=Retry(max=2))
    worker = Worker.of(Settings(), client)
    worker.register_birth()
    worker.job_monitoring_interval = 1
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as process:
        looks, look = itertools.count(1), worker.maintain_heartbeats

        def twice(job: Job, execution: Execution) -> None:
            look(job, execution)
            if next(looks) == 2 and process.stdin is not None:
                process.stdin.close()

        monkeypatch.setattr(worker, "maintain_heartbeats", twice)
        worker._horse_pid = process.pid
        execution = worker.prepare_execution(job)
        worker.monitor_work_horse(job, queue, execution)
    return process, job


def test_a_clock_that_jumps_ends_no_job(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    client, jumps = redis_server.client(), itertools.count()
    real = rq.worker.worker_classes.now
    later = lambda: real() + timedelta(days=bool(next(jumps)))  # noqa: E731 - from the second look on
    monkeypatch.setattr(rq.worker.worker_classes, "now", later)
    _, job = monitored(client, 7200, monkeypatch)
    assert next(jumps) > 1, "RQ looked at the clock again"
    assert not job.is_failed
    assert job.timeout == 7200


def test_a_job_that_does_not_end_when_its_time_is_up_is_killed(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker_module, "GRACE_S", -1.0)
    _, job = monitored(redis_server.client(), 1, monkeypatch)
    assert job.get_status() == "failed", "and is not tried again"
    job.refresh()
    assert job.timeout == 1


def test_a_redis_that_is_away_for_long_ends_no_worker(
    queue: Queue, running: subprocess.Popen[bytes], redis_server: RedisServer, tmp_path: Path
) -> None:
    first = queue.enqueue("time.sleep", 2)
    until("the job", lambda: first.get_status() in ("started", "finished"))
    redis_server.stop()
    until("the pause", lambda: waits_for_redis(tmp_path / "log"))
    redis_server.start()
    job = queue.enqueue("os.getpid")
    assert until("the next job", job.return_value)
    assert running.poll() is None


def test_a_job_that_used_up_its_time_is_not_tried_again(
    queue: Queue, running: subprocess.Popen[bytes]
) -> None:
    slow = queue.enqueue("time.sleep", 600, job_timeout=1, retry=Retry(max=2))
    bad = queue.enqueue("os.listdir", "/there/is/no/such/folder", retry=Retry(max=1))
    until("both ends", lambda: slow.is_failed and bad.is_failed)
    slow.refresh(), bad.refresh()
    assert (slow.retries_left, bad.retries_left) == (0, 0)
    assert len(slow.results()) == 1


@pytest.mark.timeout(3 * PATIENCE_S)
def test_two_workers_share_a_project_without_training_it_twice(place: WorkerHome):
    first = place.scheduler.request(PROJECT, "first")
    place.work(CLICKMASK_TRAIN_STEPS="6")
    place.training(first)
    follow, same = (place.scheduler.request(PROJECT, why) for why in ("second", "third"))
    assert follow.id != first.id
    assert same.id == follow.id, "triggers during a job make one follow-up"
    place.work()
    place.end_of(first)

    def both() -> bool:
        place.hurry(follow)
        return len(outcomes(place.server.client(), PROJECT)) == 2

    place.wait("the follow-up", both)
    statuses = [outcome.status for outcome in outcomes(place.server.client(), PROJECT)]
    assert statuses[0] == "skipped", "nothing new was left for it"
    assert {job.id for job in place.scheduler.jobs()} == {first.id, follow.id}
    assert len(place.registry.versions("project-3")) == 1


@pytest.mark.timeout(3 * PATIENCE_S)
def test_an_idle_worker_finds_what_the_webhooks_missed(place: WorkerHome):
    Ledger(place.server.client()).meet(PROJECT)
    place.work(CLICKMASK_TRAIN_AFTER=str(COUNT))
    (job,) = place.wait("a job", place.scheduler.jobs)
    assert job.meta["why"] == f"{COUNT} new annotations"


def test_junk_in_the_queue_keeps_no_job_back(redis_server: RedisServer) -> None:
    client = redis_server.client()
    queue = Queue(QUEUE, connection=client, serializer=JSONSerializer)
    job = queue.enqueue("os.getcwd", meta={"project": 3})
    client.lpush(queue.key, b"\xff\xfe")
    client.lpush(queue.intermediate_queue_key, b"\xff\xfe")  # where RQ leaves it when it ends a worker
    # A process of its own: a worker forks, and takes signals and alarms.
    commands.run({"CLICKMASK_REDIS_URL": redis_server.url}, "worker", "--burst").check_returncode()
    assert job.get_status() == "finished"


def test_passwords_of_redis_are_not_in_the_command_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RQ_REDIS_PASSWORD", "RQ_REDIS_SSL_PASSWORD"):
        monkeypatch.setenv(name, "")  # and away again after the test
    with tempfile.TemporaryDirectory(prefix="cm") as folder:
        server = RedisServer(Path(folder), "--requirepass", "o'pen")
        server.url = server.url.replace("unix://", "unix://:o'pen@")
        server.start()
        queue = Queue(QUEUE, connection=server.client(), serializer=JSONSerializer)
        job, worker = queue.enqueue("os.getcwd"), Worker.of(Settings(), server.client())
        worker.register_birth()
        worker.execution = worker.prepare_execution(job)
        worker.connection.connection_pool.connection_kwargs["ssl_password"] = "of the key"
        worker.fork_work_horse(job, queue)
        command = " ".join(psutil.Process(worker.horse_pid).cmdline())
        _, status = os.waitpid(worker.horse_pid, 0)
        assert (status, job.get_status()) == (0, "finished")
        server.stop()
    assert "o'pen" not in command and "of the key" not in command


def test_a_redis_that_comes_back_empty_gets_to_know_the_worker_again(redis_server: RedisServer) -> None:
    client = redis_server.client()
    worker = Worker.of(Settings(), client)
    worker.register_birth()
    for away in (client.flushall, lambda: client.delete(worker.key)):  # the second as when it slept for long
        away()
        worker.heartbeat()
        worker.run_maintenance_tasks()
        (known,) = Worker.all(connection=client)
        assert (known.name, known.queue_names()) == (worker.name, [QUEUE])


def test_a_process_of_a_job_waits_for_a_redis_that_is_away(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == worker_module.TRIES:
            redis_server.start()

    client = redis.Redis(unix_socket_path=redis_server.url.removeprefix("unix://"))  # as RQ makes it there
    redis_server.stop()
    monkeypatch.setattr("redis.retry.sleep", sleep)
    assert Worker.find_by_key("rq:worker:one", connection=client) is None  # a worker that Redis does not know
    assert len(pauses) >= worker_module.TRIES
