"""Scheduling: when a project's model is trained again, and the one job that waits for it.

A project has at most one waiting job and one that runs. Whatever asks for training while one waits or runs is
covered by the waiting one: a job looks at Label Studio when it begins, so it sees everything that came before.
Annotations that come while a job runs ask for nothing by themselves, because that job may be learning them: they are
counted when it ends.
"""

from __future__ import annotations

import logging
import time
import uuid
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis
from rq import Queue, Retry
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, parse_job_id
from rq.serializers import JSONSerializer

from fine_tune.project import keys
from fine_tune.project.ledger import Ledger, project_of
from fine_tune.project.lock import held
from model.errors import ClickmaskError

logger = logging.getLogger(__name__)

QUEUE = "clickmask"
WAITING = ("queued", "scheduled", "deferred")
RETRIES = 2  # of a job that fails
LONGEST_PAUSE_S = 86400.0
# What RQ and Redis raise over a record that is damaged, half gone, of another type, or of a version with other states
# and times.
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    AssertionError,
    OverflowError,
    zlib.error,
    InvalidJobOperation,
    redis.ResponseError,
)
LARGEST = 1e11  # number that is believed; a time of the year 5138
MOST_DOUBLINGS = 64  # of a pause, which is at its longest before
GUARD_S = 10  # life of the lock around "is one waiting?", in case its holder dies


class GuardHeld(ClickmaskError, ValueError):
    """The lock around the question whether a job waits is held for longer than it may live."""


@dataclass(frozen=True)
class Policy:
    """When to train, and what does it.

    Attributes:
        accept: which annotations count, see `acceptance.RULES`.
        new: how many of them must be new.
        pause_s: seconds that must have passed since the last job ended, more where jobs failed. When a person asks,
            neither `new` nor `pause_s` matters.
        timeout_s: a job that takes longer is ended.
        task: dotted name of the function that runs a job, with the arguments (project, force=False); by name, because
            it is imported where it runs. Without one nothing can be enqueued.
    """

    accept: str = "submitted"
    new: int = 20
    pause_s: float = 600.0
    timeout_s: int = 7200
    task: str = ""


class Scheduler:
    """Decides when jobs run, and enqueues them.

    Args:
        redis: a `redis.Redis` client. Its errors pass through.
    """

    def __init__(self, redis: Any, policy: Policy | None = None) -> None:
        self.policy, self._redis = policy or Policy(), redis
        self._ledger = Ledger(redis)
        self.queue = Queue(QUEUE, connection=redis, serializer=JSONSerializer)

    def consider(self, action: str, body: dict[str, Any]) -> Job | None:
        """Enqueue a job if the event that was just recorded gives reason to.

        Args:
            action, body: of a webhook, see `Ledger.record`.

        Returns:
            The job that covers it, None where there is no reason yet.
        """
        number = project_of(body)
        if number is None:
            return None
        if action == "START_TRAINING":
            return self.request(number, "asked for in Label Studio")
        if not action.startswith(("ANNOTATION_", "ANNOTATIONS_CREATED", "REVIEW_")) or self.running(number):
            return None
        return self.count(number)

    def count(self, project: int) -> Job | None:
        """Enqueue a job if enough annotations are new, for when the pause is over; None where they are not."""
        fresh = self._ledger.count_fresh(project, self.policy.accept)
        if fresh < self.policy.new:
            return None
        delay = self.last_end(project) + self._pause_s(project) - time.time()
        return self.request(project, f"{fresh} new annotations", delay_s=max(delay, 0.0))

    def _pause_s(self, project: int) -> float:
        """Compute the pause: doubled with every job that failed since one that did not, as what ails it may stay."""
        failures = self._number(keys.failures(project))
        most = max(self.policy.pause_s, LONGEST_PAUSE_S)
        return min(self.policy.pause_s * 2.0 ** min(failures // (RETRIES + 1), MOST_DOUBLINGS), most)

    def request(self, project: int, why: str, delay_s: float = 0.0, force: bool = False) -> Job:
        """Return the waiting job of a project, enqueueing one where there is none.

        Args:
            why: for people to read.
            delay_s: it shall not begin earlier; a request without delay pulls forward a job that is scheduled.
            force: train though nothing is new, and serve the result whatever the gate says of it.

        Raises:
            GuardHeld: the lock around this question is not given back.
        """
        key = keys.guard(project)
        guard = self._redis.lock(key, timeout=GUARD_S, blocking_timeout=2 * GUARD_S)
        if not guard.acquire():
            raise GuardHeld(f"{key} in Redis is not given back after {2 * GUARD_S:g} s: delete this key")
        try:
            waiting = self.waiting(project)
            if waiting is not None:
                if force:
                    waiting.kwargs = {**waiting.kwargs, "force": True}
                    waiting.save(include_meta=False)
                if waiting.get_status() == "scheduled" and delay_s <= 0:
                    self.queue.scheduled_job_registry.remove(waiting)
                    self.queue.enqueue_job(waiting)
                return waiting
            return self._enqueue(project, why, delay_s, force)
        finally:
            guard.release()

    def _enqueue(self, project: int, why: str, delay_s: float, force: bool) -> Job:
        if not self.policy.task:
            raise ValueError("Policy.task is empty: name the function that runs a fine-tuning job")
        identity = f"fine-tune-{project}-{uuid.uuid4().hex[:8]}"
        self._redis.set(keys.latest(project), identity)
        job = self.queue.create_job(
            self.policy.task,
            args=(project,),
            kwargs={"force": force},
            job_id=identity,
            timeout=self.policy.timeout_s,
            result_ttl=30 * 86400,
            failure_ttl=30 * 86400,
            retry=Retry(max=RETRIES, interval=[10, 60]),
            description=f"fine-tune project {project}: {why}",
            meta={"project": project, "why": why, "phase": "waiting"},
        )
        if delay_s > 0:
            when = datetime.fromtimestamp(time.time() + delay_s, UTC)
            return self.queue.schedule_job(job, when)
        return self.queue.enqueue_job(job)

    def waiting(self, project: int) -> Job | None:
        """Return the job of a project that has not begun, if there is one."""
        job = self._latest(project)
        return job if job is not None and job.get_status() in WAITING else None

    def running(self, project: int) -> bool:
        """Tell whether the project is being fine-tuned, by a worker or a command, or its job is just starting."""
        job = self._latest(project)
        return held(self._redis, project) or (job is not None and job.get_status() == "started")

    def _latest(self, project: int) -> Job | None:
        identity = self._redis.get(keys.latest(project))
        return None if identity is None else self.job(identity.decode(errors="replace"))

    def job(self, identity: str) -> Job | None:
        """Return a job by its id; None where Redis no longer knows it, or keeps what cannot be read of it."""
        try:
            return Job.fetch(identity, connection=self._redis, serializer=JSONSerializer)
        except NoSuchJobError:
            return None
        except UNREADABLE as error:
            logger.warning("job %s is taken for unknown, its record cannot be read: %r", identity, error)
            return None

    def jobs(self) -> list[Job]:
        """Return all jobs that Redis still knows, the newest first; what cannot be read is left out and logged."""
        queue = self.queue
        registries = (
            queue.started_job_registry,
            queue.scheduled_job_registry,
            queue.deferred_job_registry,
            queue.finished_job_registry,
            queue.failed_job_registry,
            queue.canceled_job_registry,
        )
        # Read here, as RQ's own lists of ids fail as a whole over one entry that is no text.
        entries = self._redis.lrange(queue.key, 0, -1)
        entries += [entry for registry in registries for entry in self._redis.zrange(registry.key, 0, -1)]
        identities = dict.fromkeys(filter(None, map(_identity, entries)))
        try:
            jobs = Job.fetch_many(identities, connection=self._redis, serializer=JSONSerializer)
        except UNREADABLE:
            jobs = [self.job(identity) for identity in identities]
        found = [job for job in jobs if job is not None and _has_project(job)]
        return sorted(found, key=lambda job: job.created_at, reverse=True)

    def cancel(self, identity: str) -> str:
        """End a job: at once where it waits, between two steps where it runs. Returns what happened.

        Raises:
            ValueError: there is no such job, or it is over.
        """
        job = self.job(identity)
        status = "unknown" if job is None else str(job.get_status().value)
        if job is None or status not in (*WAITING, "started"):
            raise ValueError(f"job {identity!r} is {status}: only a job that waits or runs can be cancelled")
        # Also for one that waits: a worker may just have taken it out of the queue.
        self._redis.set(keys.cancelled(identity), 1, ex=self.policy.timeout_s)
        if status == "started":
            return "cancelling"
        job.cancel()
        if _has_project(job) and self._redis.get(keys.latest(job.meta["project"])) == identity.encode():
            self._redis.set(keys.ended(job.meta["project"]), time.time())
        return "cancelled"

    def cancelled(self, identity: str) -> bool:
        """Tell whether a running job has been asked to end."""
        return bool(self._redis.exists(keys.cancelled(identity)))

    def last_end(self, project: int) -> float:
        """Return when the last job of a project ended, in seconds since the epoch; 0 for never.

        One that ended while the clock was ahead has ended now, so that the pause after it is not longer for that.
        """
        return min(self._number(keys.ended(project)), time.time())

    def _number(self, key: str) -> float:
        """Return the number under a key; 0 where there is none, or, with a line in the log, what is no number."""
        try:
            number = float(self._redis.get(key) or 0.0)
            if abs(number) < LARGEST:
                return number
            problem: object = number
        except (ValueError, redis.ResponseError) as error:
            problem = error
        logger.warning("%s is taken for 0, it holds no number: %s", key, problem)
        return 0.0

    def mark_end(self, project: int, failed: bool = False) -> None:
        """Remember that a job of a project ended now, or that a try of it failed."""
        self._redis.set(keys.ended(project), time.time())
        if failed:
            self._redis.set(keys.failures(project), int(self._number(keys.failures(project))) + 1)
        else:
            self._redis.delete(keys.failures(project))


def _identity(entry: bytes) -> str:
    """Return the id of the job that an entry of a queue or of its registries names; "" for one that names none."""
    try:
        return parse_job_id(entry.decode())
    except UnicodeDecodeError:
        logger.warning("an entry of the job queue is left out, it is no id of a job: %.80r", entry)
        return ""


def _has_project(job: Job) -> bool:
    """Tell whether a job works for a project; one whose notes cannot be read is taken for one that does not."""
    if not isinstance(job.meta, dict) or "unserialized" in job.meta:  # RQ's mark
        logger.warning("job %s is left out, its notes cannot be read: %.80r", job.id, job.meta)
        return False
    return "project" in job.meta
