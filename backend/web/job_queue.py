"""Orders jobs as people ask for them: which run, who waits for whom and how long, and which are over."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]  # as `backend.jobs.status.row` makes it
SHOWN = 5  # jobs that are over


@dataclass(frozen=True)
class Waiting:
    """Describes a job that waits: how many are before it, and when a worker is probably free, in seconds or None."""

    job: Row
    before: int
    starts_s: float | None


@dataclass(frozen=True)
class JobQueue:
    """Holds the jobs of all projects: those that run, wait in line, have a time set, and are over (newest first)."""

    running: list[Row] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    planned: list[Row] = field(default_factory=list)
    over: list[Row] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Tell whether anything will change soon."""
        return bool(self.running or self.waiting)


def order(jobs: Sequence[Row], workers: int, lasted: Mapping[int, float]) -> JobQueue:
    """Sort jobs by what they do.

    Args:
        jobs: the newest first.
        workers: how many there are.
        lasted: project -> seconds that its last job took, for those that wait.
    """
    by_status: dict[str, list[Row]] = {}
    for job in jobs:
        by_status.setdefault(job["status"], []).append(job)
    running, queued = by_status.pop("started", []), by_status.pop("queued", [])[::-1]
    planned = by_status.pop("scheduled", [])[::-1]
    over = [job for job in jobs if job["status"] in by_status]
    return JobQueue(running, _line(running, queued, workers, lasted), planned, over[:SHOWN])


def _line(
    running: Sequence[Row], queued: Sequence[Row], workers: int, lasted: Mapping[int, float]
) -> list[Waiting]:
    """Give each job in line to the worker that is free first; after one of unknown length nothing is known."""
    free: list[float] = [float("inf") if (left := job.get("eta_s")) is None else left for job in running]
    free += [0.0] * (workers - len(running))
    heapq.heapify(free)
    line = []
    for place, job in enumerate(queued):
        begin = heapq.heappop(free) if free else float("inf")
        line.append(Waiting(job, len(running) + place, begin if begin < float("inf") else None))
        heapq.heappush(free, begin + lasted.get(job["project"], float("inf")))
    return line
