"""Tells how a process is doing: for the readiness probe, the status page and Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

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
    known = backend.settings.redis_url is not None
    states = {state: learning.states.get(state, 0) for state in STATES if known}
    last = {str(p.id): o.seconds for p in learning.projects for o in p.outcomes[:1]}
    served = [(p.id, o.at) for p in learning.projects for o in p.outcomes if o.status == "promoted"]
    promoted = {str(number): at for number, at in reversed(served)}  # the newest one stays
    text = "Jobs of fine-tuning and proposing that Redis knows, by state."
    families = [_family("clickmask_training_jobs", text, "state", states)]
    text = "How long the last fine-tuning job of a project took."
    families += [_family("clickmask_training_seconds", text, "project", last)]
    text = "When a project's last job ended with a version that is served."
    families += [_family("clickmask_training_last_success_timestamp_seconds", text, "project", promoted)]
    metrics.note_learning(families)


def _family(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
