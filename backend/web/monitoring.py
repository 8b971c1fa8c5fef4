"""Tells how a process is doing: for the readiness probe, the status page and Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import Any

from backend.assembly import Backend
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import outcomes
from fine_tune.project.scheduler import Scheduler

STATES = ("queued", "scheduled", "started", "finished", "failed", "canceled")  # of jobs, in RQ's words


def status(backend: Backend) -> dict[str, Any]:
    """Return what there is to know about a process: whether it is ready, its models, their problems, Redis, load."""
    loaded, problems = backend.models.loaded(), backend.models.problems()
    running, waiting = backend.service.admission.load()
    return {
        "ready": "base" in loaded,
        "reason": "" if "base" in loaded else problems.get("base", "the model is still loading"),
        "models": {line: {"version": m.version, "device": m.device} for line, m in loaded.items()},
        "problems": problems,
        "redis": backend.redis.state(),
        "predictions": {"running": running, "waiting": waiting},
    }


def measure(backend: Backend) -> None:
    """Bring the gauges of a process up to date."""
    running, waiting = backend.service.admission.load()
    backend.metrics.running.set(running)
    backend.metrics.waiting.set(waiting)
    for name, value in backend.images.stats().items():
        backend.metrics.images.labels(name).set(value)
    backend.redis.attempt(lambda client: _measure_jobs(backend, client), None)


def _measure_jobs(backend: Backend, client: Any) -> None:
    states, metrics = (
        Counter(job.get_status(refresh=False).value for job in Scheduler(client).jobs()),
        backend.metrics,
    )
    for state in STATES:
        metrics.jobs.labels(state).set(states[state])
    for project in Ledger(client).projects():
        ended = outcomes(client, project)
        for outcome in ended[:1]:
            metrics.job_seconds.labels(str(project)).set(outcome.seconds)
        for outcome in [o for o in ended if o.status == "promoted"][:1]:
            metrics.promoted.labels(str(project)).set(outcome.at)
