"""A home with a base model, and real workers on it that a test may kill."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.serializers import JSONSerializer

from backend.jobs.policy import policy
from backend.settings import Settings
from fine_tune.project.scheduler import QUEUE, Scheduler
from model.versions.registry import Registry
from tests import commands
from tests.backend.http_server import Web
from tests.backend.redis_server import RedisServer
from tests.fine_tune.shape_project import base, retention_set
from tests.waiting import until

# Annotated images of a project that a worker can learn. Three are held out, too few for proposals to be learned, too.
COUNT = 7
PATIENCE_S = 600.0  # on a busy machine everything takes long
# Not as patient as the real one, so that a test need not wait for half a minute.
IMPATIENT = """
import logging, sys
from backend.jobs import worker
from backend.settings import Settings
logging.basicConfig(level="INFO")
worker.TRIES, worker.LONGEST_PAUSE_S = 1, 0.1
worker.work(Settings(sync_s=0, log_level="info"), sys.argv[1])
"""


def waits_for_redis(log: Path) -> bool:
    """Tell from a worker's log whether it is in its own pause, or in one of RQ, which doubles each time."""
    text = log.read_text()
    return "begins anew" in text or "retrying in 4 seconds" in text


class WorkerHome:
    """A home folder with a base model, and the workers that a test starts on it."""

    def __init__(self, home: Path, server: RedisServer, web: Web) -> None:
        self.home, self.registry, self.server = home, Registry(home), server
        base(self.registry)
        self.scheduler = Scheduler(server.client(), policy(Settings()))
        self.environment = {
            "CLICKMASK_HOME": str(home),
            "CLICKMASK_REDIS_URL": server.url,
            "LABEL_STUDIO_URL": web.url,
            "CLICKMASK_GENERAL_SET": str(retention_set(home / "general")),
            "CLICKMASK_TRAIN_STEPS": "2",
            "CLICKMASK_TRAIN_MINUTES": "20",
            "CLICKMASK_DEVICE": "cpu",
            "CLICKMASK_THREADS": "1",
        }
        self.workers: list[subprocess.Popen[bytes]] = []

    def work(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        worker = commands.start({**self.environment, **changes}, self.home / "worker.log", "worker")
        self.workers.append(worker)
        return worker

    def wait(self, what: str, condition: Callable[[], Any]) -> Any:
        """Wait until the condition is true, and return its value."""
        log = self.home / "worker.log"
        return until(what, condition, PATIENCE_S, 0.1, logs=lambda: log.read_text()[-3000:])

    def hurry(self, job: Job) -> None:
        """Let the pause before a job's next try be over, where there is one."""
        client = self.server.client()
        registry = ScheduledJobRegistry(QUEUE, connection=client, serializer=JSONSerializer)
        client.zadd(registry.key, {job.id: 0}, xx=True)

    def tried_again(self, job: Job) -> None:
        """Wait until a try of a job has failed and the next one is planned."""

        def planned() -> bool:
            found = self.scheduler.job(job.id)
            return found is not None and found.get_status() == "scheduled"

        self.wait("another try", planned)

    def meta(self, job: Job) -> dict[str, Any]:
        found = self.scheduler.job(job.id)
        return {} if found is None else found.meta

    def end_of(self, job: Job) -> Job:
        def over() -> Job | None:
            found = self.scheduler.job(job.id)
            return found if found is not None and found.get_status() in ("finished", "failed") else None

        return self.wait(f"the end of {job.id}", over)

    def training(self, job: Job) -> dict[str, Any]:
        """Wait until the job is in the middle of training."""
        return self.wait(
            "training", lambda: (m := self.meta(job)).get("phase") == "training" and m.get("step") and m
        )

    def close(self) -> None:
        for worker in self.workers:
            kill(worker)


def kill(worker: subprocess.Popen[bytes]) -> None:
    """kill -9, the worker and whatever it started."""
    try:
        family = psutil.Process(worker.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    for process in (*family, worker):
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    worker.wait()
