"""Describes jobs in plain values, for the command line and the status page."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from rq import worker_registration
from rq.job import Job
from rq.registry import ScheduledJobRegistry

from fine_tune.project.scheduler import UNREADABLE, Scheduler

logger = logging.getLogger(__name__)

PROGRESS = ("step", "steps", "loss", "eta_s", "phases")
NO_WORKER = "no worker runs: start `clickmask worker`, or everything with `clickmask up`"


def count_workers(client: Any) -> int:
    """Count the workers that take our jobs and live.

    Other programs, Label Studio too, may have workers in the same Redis; a killed one leaves its name behind.

    Args:
        client: a `redis.Redis` client. Its errors pass through.
    """
    names = worker_registration.get_keys(Scheduler(client).queue)
    return int(client.exists(*names)) if names else 0


def rows(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """Describe jobs as `row` does; one whose record cannot be read is left out, with a line in the log."""
    described = []
    for job in jobs:
        try:
            described.append(row(job))
        except UNREADABLE as error:
            logger.warning("job %s is left out, its record cannot be read: %r", job.id, error)
    return described


def row(job: Job) -> dict[str, Any]:
    """Return a job's id, project, status, why, created (ISO 8601), progress and result.

    The progress is phase, share (0..1 of it), eta_s (seconds until the job is over), phases (a list of name, share,
    seconds and left_s), step, steps (planned) and loss. The result is one sentence on what became of the job or what
    it waits for.
    """
    status = str(job.get_status().value)
    meta = job.meta
    values = {key: meta.get(key) for key in ("project", "why", "phase", "share", *PROGRESS)}
    if status == "started" and values["phase"] == "waiting":
        values["phase"] = "starting"
    created = job.created_at.isoformat(timespec="seconds") if job.created_at else ""
    return {"id": job.id, "status": status, "created": created, **values, "result": _result(job, status)}


def announcement(job: Job) -> str:
    """Say of a job that was asked for what it waits for, and how to watch it where it waits for nothing else."""
    values = row(job)
    state = "runs" if values["status"] == "started" else "waits for a worker"
    return f"job {job.id} {state}; {values['result'] or f'watch it with `clickmask jobs watch {job.id}`'}"


def _result(job: Job, status: str) -> str:
    if status == "queued":
        return "" if count_workers(job.connection) else NO_WORKER
    if status == "scheduled":
        return _until(job)
    if status == "finished":
        outcome = job.return_value()
        return "" if outcome is None else f"{outcome['status']}: {outcome['reason']}"
    if status != "failed":
        return ""
    latest = job.latest_result()
    text = (latest.exc_string if latest is not None else "") or "the worker died"
    return str(job.meta.get("problem") or text.strip().splitlines()[-1])


def _until(job: Job) -> str:
    registry = ScheduledJobRegistry(job.origin, connection=job.connection)
    try:
        time = registry.get_scheduled_time(job).isoformat(timespec="seconds")
    except KeyError:  # its time has come meanwhile
        return ""
    problem = job.meta.get("problem")
    return f"is tried again at {time}: {problem}" if problem else f"begins at {time}"
