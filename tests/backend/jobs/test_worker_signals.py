"""Signals: what a worker that is told to end, or interrupted, does with its job and its processes."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from rq import Queue, Retry
from rq.scheduler import RQScheduler

from backend.jobs.worker import Worker
from backend.settings import Settings
from fine_tune.project import keys
from tests.backend.annotated_project import PROJECT
from tests.backend.redis_server import RedisServer
from tests.backend.worker_home import IMPATIENT, PATIENCE_S, WorkerHome, waits_for_redis
from tests.commands import ROOT
from tests.live_processes import alive
from tests.waiting import until


@contextmanager
def told_to_end(script: str, url: str, log: Path) -> Iterator[None]:
    """Run a worker that logs to a file; afterwards tell it to end, which it must do at once, and alone."""
    with log.open("wb") as output:
        command = [sys.executable, "-c", script, url]
        with subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output) as process:
            yield
            known = log.stat().st_size
            family = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
    until("their end", lambda: not alive(family))
    assert b"Traceback" not in log.read_bytes()[known:]


@pytest.mark.parametrize("ever", [True, False])
def test_a_worker_that_waits_for_redis_ends_when_it_is_told_to(
    redis_server: RedisServer, tmp_path: Path, ever: bool
) -> None:
    log = tmp_path / "log"
    if not ever:
        redis_server.stop()
    with told_to_end(IMPATIENT.replace("0.1", "600"), redis_server.url, log):
        if ever:
            until("the worker", lambda: "Listening" in log.read_text())
            redis_server.stop()
        until("the pause", lambda: waits_for_redis(log))


def test_a_worker_that_is_told_to_end_while_it_begins_leaves_no_scheduler(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    begins = """
import time
from rq.worker import BaseWorker
def begin(self, *args, start=BaseWorker._start_scheduler):
    start(self, *args)
    print("begins", flush=True)
    time.sleep(600)
BaseWorker._start_scheduler = begin
"""
    log = tmp_path / "log"
    with told_to_end(begins + IMPATIENT, redis_server.url, log):
        until("the scheduler", lambda: "begins" in log.read_text())


def test_a_job_is_put_back_when_its_worker_is_told_to_end(
    queue: Queue, running: subprocess.Popen[bytes]
) -> None:
    job = queue.enqueue(
        "time.sleep", 600, job_timeout=1000, retry=Retry(max=2), meta={"project": 3, "share": 0.5}
    )
    waiting = queue.enqueue("os.getpid")
    until(
        "the job",
        lambda: job.get_status() == "started" and psutil.Process(running.pid).children(recursive=True),
    )
    family = psutil.Process(running.pid).children(recursive=True)
    running.terminate()
    assert running.wait(PATIENCE_S) == 0
    until("their end", lambda: not alive(family))
    assert job.get_status() == "queued"
    assert queue.get_job_ids() == [job.id, waiting.id], "before those that came later"
    assert queue.started_job_registry.get_job_ids() == []
    job.refresh()
    assert job.retries_left == 2, "it did not fail"
    assert (job.meta["project"], job.meta["phase"], job.meta["share"]) == (3, "waiting", None)
    assert "goes on where it was" in job.meta["problem"]


@pytest.mark.parametrize("leaves", [True, False])
def test_a_worker_on_its_way_out_starts_no_scheduler(redis_server: RedisServer, leaves: bool) -> None:
    worker = Worker.of(Settings(), redis_server.client())
    worker.bootstrap()
    worker._start_scheduler()
    worker.run_maintenance_tasks()
    worker.stop_scheduler()
    worker._stop_requested = leaves
    worker.run_maintenance_tasks()
    started = worker.scheduler._process.is_alive()
    worker.teardown()
    assert started is not leaves


def test_a_scheduler_that_misses_the_first_signal_is_asked_again(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = multiprocessing.Event()

    def late(scheduler: RQScheduler) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ready.set()
        time.sleep(0.5)
        signal.signal(signal.SIGTERM, scheduler.request_stop)

    monkeypatch.setattr(RQScheduler, "_install_signal_handlers", late)
    worker = Worker.of(Settings(), redis_server.client())
    worker.bootstrap()
    worker._start_scheduler()
    assert ready.wait(60)
    worker.stop_scheduler()  # or for ever
    assert worker.scheduler._process.exitcode == 0
    worker.teardown()


def test_an_interrupted_worker_finishes_its_job(queue: Queue, running: subprocess.Popen[bytes]) -> None:
    job = queue.enqueue("time.sleep", 2)
    until("the job", lambda: job.get_status() in ("started", "finished"))
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE_S) == 0
    assert job.get_status() == "finished"


def test_an_idle_worker_ends_at_once(queue: Queue, running: subprocess.Popen[bytes]) -> None:
    connection = queue.connection
    until("the worker", lambda: [w.get_state() for w in Worker.all(connection=connection)] == ["idle"])
    running.terminate()
    assert running.wait(PATIENCE_S) == 0


@pytest.mark.timeout(3 * PATIENCE_S)
@pytest.mark.parametrize("devices", ["1", "2"])
def test_a_worker_that_is_told_to_end_hands_its_job_on(place: WorkerHome, devices: str):
    job = place.scheduler.request(PROJECT, "test", force=True)
    worker = place.work(CLICKMASK_TRAIN_STEPS="500", CLICKMASK_TRAIN_DEVICES=devices)
    place.training(job)
    family = psutil.Process(worker.pid).children(recursive=True)
    worker.terminate()
    assert worker.wait(PATIENCE_S) == 0
    until("their end", lambda: not alive(family))
    waiting = place.scheduler.waiting(PROJECT)
    assert waiting is not None and waiting.id == job.id
    assert place.registry.versions("project-3") == []
    place.server.client().delete(keys.lock(PROJECT))  # which would run out by itself
    place.work()
    result = place.end_of(job).return_value()
    assert result is not None and result["status"] == "promoted"
    assert [each.id for each in place.scheduler.jobs()] == [job.id]
