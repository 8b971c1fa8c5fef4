"""Runs jobs, each in a fresh process, and queues comparisons with Label Studio between two jobs.

A worker that is told to end (SIGTERM) puts its job back into the queue and is gone within seconds; one that is
interrupted (SIGINT) finishes its job first.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from rq import Queue
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq.worker import BaseWorker, SpawnWorker

from backend.jobs import reconcile_job
from backend.jobs.status import PROGRESS
from backend.settings import Settings
from fine_tune.project.scheduler import QUEUE
from model.errors import ClickmaskError

logger = logging.getLogger(__name__)

# About half a minute, in which a Redis starts again: of every command, in the worker and in the processes of jobs.
TRIES = 16
LONGEST_PAUSE_S = 2.0
GRACE_S = 60.0  # in which a job whose time is up has to end by itself
NO_LIMIT = -1  # of a job's time, in RQ's terms
PASSWORDS = ("password", "ssl_password")  # among the options of a connection


class Worker(SpawnWorker):
    """Runs jobs in spawned processes, since CUDA does not survive a fork.

    Attributes:
        sync_s: how often projects are compared with Label Studio; 0 for never.
        leaving: SIGTERM has come.
        timed_out: the job has used up its time.
    """

    sync_s = 0
    leaving = False
    timed_out = False
    _limit_s: float | None = None  # of the job that runs
    _end_s: float | None = None  # by the monotonic clock, when its process is killed

    @classmethod
    def of(cls, settings: Settings, connection: Any) -> Worker:
        """Make a worker as the settings say.

        An idle one looks every half a minute for what is due, and whether jobs that wait for their time have lost
        their scheduler with a killed worker; RQ's defaults would let them wait for ten minutes.
        """
        worker = cls(
            [QUEUE], connection=connection, serializer=JSONSerializer, worker_ttl=45, maintenance_interval=20
        )
        worker.sync_s = settings.sync_s
        return worker

    @property
    def told_to_stop(self) -> bool:
        """Tell whether a signal, and not a trouble, ended the work."""
        return self.leaving or self._shutdown_requested_date is not None

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop after the job that runs (SIGINT), or put it back at once (SIGTERM); the job's process gets neither."""
        if signum == signal.SIGTERM:
            self.leaving = True
            self._end_horse()
        super().request_stop(signum, frame)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Start the process of a job, unless the worker is leaving: SIGTERM may come just before."""
        _conceal(self.connection.connection_pool.connection_kwargs)
        super().fork_work_horse(job, queue)
        if self.leaving:
            self._end_horse()

    def _end_horse(self) -> None:
        if self.horse_pid:
            self.kill_horse(signal.SIGTERM)  # and the processes that train for it: they are of one group

    @classmethod
    def find_by_key(cls, worker_key: str, connection: Any, *args: Any, **options: Any) -> BaseWorker | None:
        """Find a worker: what a job's process does first, for which Redis is worth some tries from then on."""
        connection.set_retry(patient())
        return super().find_by_key(worker_key, connection, *args, **options)

    def monitor_work_horse(self, job: Job, queue: Queue, execution: Execution) -> None:
        """Wait for the end of a job's process, which ends itself when its time is up.

        RQ would look after that by the wall clock, and kill a job that has just begun where the clock jumps.
        """
        limit_s = self._limit_s = job.timeout
        self._end_s = None if limit_s is None or limit_s <= 0 else time.monotonic() + limit_s + GRACE_S
        self.timed_out = False
        job.timeout = NO_LIMIT
        try:
            super().monitor_work_horse(job, queue, execution)
        finally:
            job.timeout = limit_s

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Log why a job failed: a sentence where that was foreseen (a disk that is full, too), else a traceback."""
        error = exc_info[1]
        self.timed_out = isinstance(error, JobTimeoutException)
        if isinstance(error, ClickmaskError | JobTimeoutException | OSError):
            logger.error("job %s failed: %s", job.id, error)
        else:
            super().handle_exception(job, *exc_info)

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Put the job back where the worker is leaving, and try no job again that has used up its time."""
        if self.leaving:
            self._put_back(job, queue, execution)
            return
        if job.timeout == NO_LIMIT:  # the worker's own copy, which must not be saved so
            job.timeout = self._limit_s
        if self.timed_out:
            job.retries_left = 0
        super().handle_job_failure(job, queue, started_job_registry, exc_string, execution)

    def _put_back(self, job: Job, queue: Queue, execution: Execution | None) -> None:
        logger.info("job %s is put back: this worker was told to end", job.id)
        job.refresh()  # its process has changed it meanwhile
        job.meta.update(dict.fromkeys(("share", *PROGRESS)), phase="waiting")
        job.meta["problem"] = "its worker was told to end; it goes on where it was"
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline=pipeline, execution=execution)
            # As `Job.retry` does it: all or nothing, or a job could be lost between the registry and the queue.
            queue._enqueue_job(job, pipeline=pipeline, at_front=True)
            pipeline.execute()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Report to Redis twice a minute while a job runs; the job goes on where Redis does not answer just then."""
        try:
            super().maintain_heartbeats(job, execution)
        except redis.RedisError as error:
            logger.warning("Redis does not answer while job %s runs: %s", job.id, error)
        if self._end_s is not None and time.monotonic() > self._end_s:
            logger.error("job %s does not end by itself when its time is up, and is killed", job.id)
            self.timed_out = True
            self.kill_horse()

    def stop_scheduler(self) -> None:
        """End the scheduler's process, which may miss a signal while it starts: it is asked until it ends."""
        process = self.scheduler and self.scheduler._process
        while process and process.is_alive():
            process.terminate()
            process.join(1)

    def run_maintenance_tasks(self) -> None:
        """Do what is due before and between jobs, but not on the way out: RQ would start a scheduler anew."""
        if self._stop_requested:
            return
        self._stay_known()
        super().run_maintenance_tasks()
        reconcile_job.enqueue(self.connection, self.sync_s)

    def _stay_known(self) -> None:
        """Register again where Redis has forgotten the worker: RQ does that once, and a Redis may come back empty."""
        known = self.connection.sismember(self.redis_workers_keys, self.key)
        if not (known and self.connection.hexists(self.key, "birth")):
            logger.warning("Redis has forgotten this worker, which registers again")
            # What a sign of life has left there, RQ takes for another worker.
            self.connection.delete(self.key)
            self.register_birth()


class _FromEnvironment(str):
    """A text which shows itself as the Python that reads it from the environment."""

    def __new__(cls, text: str, name: str) -> _FromEnvironment:
        """Put the text into the environment under a name, for the processes of jobs."""
        os.environ[name] = text
        made = super().__new__(cls, text)
        made._name = name
        return made

    _name: str

    def __repr__(self) -> str:
        return f"os.environ[{self._name!r}]"


def _conceal(options: dict[str, Any]) -> None:
    """Keep the passwords of a connection out of commands: RQ writes its options into one that everybody can read."""
    for key in PASSWORDS:
        if options.get(key):
            options[key] = _FromEnvironment(options[key], f"RQ_REDIS_{key.upper()}")


def patient() -> Retry:
    """Return how often a command is tried where Redis does not answer."""
    return Retry(ExponentialBackoff(cap=LONGEST_PAUSE_S, base=0.1), TRIES)


def work(settings: Settings, url: str, burst: bool = False) -> None:
    """Work until a signal comes, or, with `burst`, until no job is waiting.

    A Redis that is away for longer than its commands are tried ends no worker: another one takes over as soon as it
    answers.

    Args:
        url: of the Redis.
    """
    with suppress(StopRequested):
        while not _work_once(settings, url, burst):
            logger.warning("the worker begins anew in %.0f s", LONGEST_PAUSE_S)
            time.sleep(LONGEST_PAUSE_S)


def _work_once(settings: Settings, url: str, burst: bool) -> bool:
    """Work as long as Redis answers; tell whether that is all there is to do.

    Raises:
        StopRequested: a signal came before or after RQ's own loop, which looks for them.
    """
    _heed_signals()
    worker = None
    try:
        worker = Worker.of(settings, redis.Redis.from_url(url, health_check_interval=30, retry=patient()))
        _clear(worker.connection)
        worker.work(burst=burst, logging_level=settings.log_level.upper(), with_scheduler=not burst)
    except redis.RedisError as error:
        logger.warning("Redis does not answer the worker: %s", error)
    finally:
        _heed_signals()
        if worker:  # which has left its scheduler where it was told to end while it began
            worker.stop_scheduler()
    return burst or bool(worker and worker.told_to_stop)


def _heed_signals() -> None:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise StopRequested

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _clear(client: Any) -> None:
    """Remove entries of the queue that are no text: over one of them RQ ends its worker, again at every start."""
    queue = Queue(QUEUE, connection=client)
    for key in (queue.key, queue.intermediate_queue_key):
        for entry in client.lrange(key, 0, -1):
            try:
                entry.decode()
            except UnicodeDecodeError:
                logger.warning("an entry of %s is removed, it is no id of a job: %.80r", key, entry)
                client.lrem(key, 0, entry)
