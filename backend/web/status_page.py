"""Shows people at `/` how things are: what is served, what is being learned, and why clicks were refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import render_template

from backend.assembly import Backend
from backend.web import monitoring
from backend.web.learning import Learning, ProjectFigures
from fine_tune.project.judging.gain import work
from fine_tune.project.outcome import Outcome, picture_of
from model.versions.registry import Registry

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


def render(backend: Backend, learning: Learning) -> str:
    """Return the page as HTML; without Redis it shows what is left."""
    status = monitoring.status(backend)
    return render_template(
        "overview.html",
        status=status,
        lines=_lines(backend.registry, status),
        projects=[_project(figures, backend.settings.home) for figures in learning.projects],
        jobs=learning.jobs,
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


def _project(figures: ProjectFigures, home: Path) -> dict[str, Any]:
    """Return what the page shows of a project."""
    return {
        "id": figures.id,
        "known": figures.known,
        "accepted": figures.accepted,
        "fresh": figures.fresh,
        "outcomes": [_shown(outcome, home) for outcome in figures.outcomes[:3]],
        "quality": _quality(figures.quality),
    }


def _shown(outcome: Outcome, home: Path) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "version": outcome.version,
        "reason": outcome.reason,
        "problems": outcome.problems[:5],
        "at": datetime.fromtimestamp(outcome.at, UTC).isoformat(timespec="seconds"),
        "before": _curve(outcome, "before"),
        "after": _curve(outcome, "after"),
        "picture": f"pictures/{outcome.version}.png" if picture_of(home, outcome.version).exists() else "",
        "work": _work(outcome),
    }


def _work(outcome: Outcome) -> list[str]:
    try:
        return work(outcome.metrics)
    except (KeyError, TypeError, ValueError):  # of a version that counts otherwise
        return []


def _curve(outcome: Outcome, when: str) -> str:
    """Return the polyline of a gate's IoU over clicks; "" where it was not measured."""
    try:
        return polyline([float(iou) for iou in outcome.metrics[when]["clickers"]["classic"]["curve"]])
    except (KeyError, TypeError, ValueError):  # also of a version that measures otherwise
        return ""


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
