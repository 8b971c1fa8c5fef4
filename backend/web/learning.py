"""Gathers what projects have learned, in the background: no request waits for what Redis holds of them.

The figures are read with a connection of its own, since a ledger of many annotations takes longer than a click may
wait for Redis, and never more often than a small share of the time, since reading it keeps the interpreter busy.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from backend.jobs.object_clicks import tallies
from backend.jobs.status import count_workers, rows
from backend.redis_store import OptionalRedis
from backend.review.project_review import distribution
from backend.settings import Settings
from backend.web.clicks_saved import ClicksSaved, count
from backend.web.job_queue import JobQueue, order
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome, outcomes
from fine_tune.project.scheduler import UNREADABLE, Scheduler

logger = logging.getLogger(__name__)

GOING = ("queued", "started", "scheduled")
JOBS = 12  # that are over, of all that Redis knows
TIMEOUT_S = 10.0  # of one command
FIRST_S = 1.0  # that a request waits where nothing was gathered for long, or ever
OLD_S = 60.0  # after which figures are too old to be shown while new ones are gathered
AGE_S = 5.0  # of figures that are shown as they are
SHARE = 0.02  # of the time, at most, goes into gathering


@dataclass(frozen=True)
class ProjectFigures:
    """What is known of a project: annotations in the ledger, last outcomes (newest first), clicks, predicted IoUs."""

    id: int
    known: int = 0
    accepted: int = 0
    fresh: int = 0
    outcomes: tuple[Outcome, ...] = ()
    saved: ClicksSaved = field(default_factory=lambda: count(()))
    quality: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Learning:
    """What is known of all projects: their jobs in order, and how many jobs are in each state."""

    projects: tuple[ProjectFigures, ...] = ()
    queue: JobQueue = field(default_factory=JobQueue)
    states: dict[str, int] = field(default_factory=dict)


class LearningFigures:
    """Keeps the last figures of a process, and gathers new ones when somebody asks."""

    def __init__(self, settings: Settings) -> None:
        self._redis, self._accept = OptionalRedis(settings.redis_url, timeout_s=TIMEOUT_S), settings.accept
        self._latest, self._due = Learning(), 0.0
        self._lock, self._there = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def latest(self) -> Learning:
        """Return the last figures; the first call, or one after a long pause, waits for them, but not for long."""
        with self._lock:
            idle, late = self._thread is None or not self._thread.is_alive(), time.monotonic() - self._due
            if idle and late >= 0:
                if late >= OLD_S:
                    self._there.clear()
                self._thread = threading.Thread(target=self._refresh, name="learning-figures", daemon=True)
                self._thread.start()
        self._there.wait(FIRST_S)
        return self._latest

    def close(self, timeout_s: float = 2.0) -> None:
        """Wait for the thread, if it runs: daemon threads that meet the end of the interpreter may abort it."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _refresh(self) -> None:
        begin = time.monotonic()
        try:
            self._latest = self._redis.attempt(self._gather, self._latest)
        except Exception:  # figures are never worth an answer
            logger.exception("the figures of fine-tuning cannot be gathered")
        end = time.monotonic()
        self._due = end + max(AGE_S, (end - begin) / SHARE)
        self._there.set()

    def _gather(self, client: Any) -> Learning:
        jobs = Scheduler(client).jobs()
        found = (self._project(client, number) for number in Ledger(client).projects())
        projects = tuple(project for project in found if project is not None)
        lasted = {p.id: o.seconds for p in projects for o in reversed(p.outcomes) if o.version and o.seconds}
        going = [job for job in jobs if job.get_status(refresh=False) in GOING]  # one or two of a project
        over = [job for job in jobs if job.get_status(refresh=False) not in GOING]
        return Learning(
            projects=projects,
            queue=order(rows([*going, *over[:JOBS]]), count_workers(client), lasted),
            states=dict(Counter(job.get_status(refresh=False).value for job in jobs)),
        )

    def _project(self, client: Any, number: int) -> ProjectFigures | None:
        """Return the figures of one project; None, with a line in the log, where a record cannot be understood."""
        ledger = Ledger(client)
        try:
            accepted = ledger.accepted(number, self._accept)
            return ProjectFigures(
                id=number,
                known=len(ledger.annotations(number)),
                accepted=len(accepted),
                fresh=len(ledger.fresh(number, self._accept)),
                outcomes=tuple(outcomes(client, number)),
                saved=count(tallies(client, number, accepted)),
                quality=distribution(client, number),
            )
        except UNREADABLE as error:
            logger.warning("project %s: figures left out, a record cannot be read: %s", number, error)
            return None
