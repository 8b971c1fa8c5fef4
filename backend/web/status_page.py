"""Shows people at `/` how things are: what is served, what is being learned, and why clicks were refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import render_template

from backend.assembly import Backend
from backend.jobs.status import row
from backend.review.project_review import distribution
from backend.web import monitoring
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome, outcomes
from fine_tune.project.scheduler import Scheduler
from model.versions.registry import Registry

JOBS = 12
Learning = tuple[list[dict[str, Any]], list[dict[str, Any]]]
WIDTH, HEIGHT = 320, 120  # of a plot, in units of its own


@dataclass(frozen=True)
class Line:
    """Describes a served line of models: `loaded` names what this process answers with, `device` what it runs on."""

    name: str
    current: str
    loaded: str
    device: str
    versions: int
    problem: str


def render(backend: Backend) -> str:
    """Return the page as HTML; without Redis it shows what is left."""
    status = monitoring.status(backend)
    nothing: Learning = ([], [])
    projects, jobs = backend.redis.attempt(lambda client: _learning(client, backend), nothing)
    return render_template(
        "overview.html",
        status=status,
        lines=_lines(backend.registry, status),
        projects=projects,
        jobs=jobs,
        refused=backend.metrics.recent_refusals(),
        train_after=backend.settings.train_after,
        width=WIDTH,
        height=HEIGHT,
        now=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _lines(registry: Registry, status: dict[str, Any]) -> list[Line]:
    found = []
    for name in registry.lines():
        current, loaded = registry.current(name), status["models"].get(name, {})
        found.append(
            Line(
                name,
                current.name if current else "none promoted",
                loaded.get("version", ""),
                loaded.get("device", ""),
                len(registry.names(name)),
                status["problems"].get(name, ""),
            )
        )
    return found


def _learning(client: Any, backend: Backend) -> Learning:
    """Projects with their counts and last gates, and the last jobs."""
    ledger, accept = Ledger(client), backend.settings.accept
    projects = []
    for number in ledger.projects():
        last = outcomes(client, number)
        projects.append(
            {
                "id": number,
                "known": len(ledger.annotations(number)),
                "accepted": len(ledger.accepted(number, accept)),
                "fresh": len(ledger.fresh(number, accept)),
                "outcomes": [_shown(outcome) for outcome in last[:3]],
                "quality": _quality(distribution(client, number)),
            }
        )
    return projects, [row(job) for job in Scheduler(client).jobs()[:JOBS]]


def _shown(outcome: Outcome) -> dict[str, Any]:
    before, after = (outcome.metrics.get(key) for key in ("before", "after"))
    return {
        "status": outcome.status,
        "version": outcome.version,
        "reason": outcome.reason,
        "problems": outcome.problems[:5],
        "at": datetime.fromtimestamp(outcome.at, UTC).isoformat(timespec="seconds"),
        "before": polyline(before["clickers"]["classic"]["curve"]) if before else "",
        "after": polyline(after["clickers"]["classic"]["curve"]) if after else "",
    }


def _quality(ious: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Predicted IoUs by annotator, with a bar (0..1 of the highest) for every tenth; all of them first."""
    if not ious:
        return []
    rows = []
    for name, values in {"everybody": [iou for part in ious.values() for iou in part], **ious}.items():
        counts = [sum(min(int(iou * 10), 9) == tenth for iou in values) for tenth in range(10)]
        bars = [count / max(counts) for count in counts]
        rows.append({"who": name, "count": len(values), "mean": sum(values) / len(values), "bars": bars})
    return rows


def polyline(curve: list[float]) -> str:
    """Return an SVG polyline's points for IoU values (0..1) after click 1, 2, ..., in a box of WIDTH x HEIGHT."""
    last = max(len(curve) - 1, 1)
    return " ".join(f"{i * WIDTH / last:.1f},{(1 - value) * HEIGHT:.1f}" for i, value in enumerate(curve))
