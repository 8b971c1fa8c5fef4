"""Tells how a process is doing: for the readiness probe, the status page and Prometheus."""

from __future__ import annotations

from typing import Any

from backend.assembly import Backend
from backend.web.learning import Learning

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


def measure(backend: Backend, learning: Learning) -> None:
    """Bring the gauges of a process up to date."""
    metrics = backend.metrics
    metrics.note_images(backend.images.stats())
    if backend.settings.redis_url is not None:
        for state in STATES:
            metrics.jobs.labels(state).set(learning.states.get(state, 0))
    for project in learning.projects:
        for outcome in project.outcomes[:1]:
            metrics.job_seconds.labels(str(project.id)).set(outcome.seconds)
        for outcome in [o for o in project.outcomes if o.status == "promoted"][:1]:
            metrics.promoted.labels(str(project.id)).set(outcome.at)
