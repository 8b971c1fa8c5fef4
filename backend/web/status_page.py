"""Shows people at `/` how things are: what is learned, what it saves, who waits, and why clicks were refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import render_template

from backend.assembly import Backend
from backend.clicks.refusals import FIXES
from backend.web import chart, monitoring
from backend.web.learning import Learning
from backend.web.project_card import card
from model.errors import ClickmaskError
from model.proposals.trained import CARD_KEY
from model.versions.checkpoint import read_card
from model.versions.registry import Registry

BUSY_S, QUIET_S = 5, 30  # after which browsers load the page again


@dataclass(frozen=True)
class Line:
    """Describes a served line of models: `loaded` names what this process answers with, `device` what it runs on."""

    name: str
    current: str
    loaded: str
    device: str
    versions: int
    problem: str


@dataclass
class Refused:
    """Describes clicks that got no mask for the same reason: `fix` says what to do, `time` is that of the last."""

    text: str
    fix: str
    tasks: list[str]
    time: str
    count: int = 0


def render(backend: Backend, learning: Learning) -> str:
    """Return the page as HTML; without Redis it shows what is left."""
    status = monitoring.status(backend)
    return render_template(
        "overview.html",
        status=status,
        lines=_lines(backend.registry, status),
        projects=[
            card(figures, backend.settings.home, _proposals(backend.registry, figures.id))
            for figures in learning.projects
        ],
        queue=learning.queue,
        refused=refused(backend.metrics.recent_refusals()),
        train_after=backend.settings.train_after,
        width=chart.WIDTH,
        height=chart.HEIGHT,
        reload_s=BUSY_S if learning.queue.busy or not status["ready"] else QUIET_S,
        now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


def refused(entries: Iterable[dict[str, str]]) -> list[Refused]:
    """Join refusals (the newest first) that say the same."""
    found: dict[tuple[str, str], Refused] = {}
    for entry in entries:
        key = entry["reason"], entry["text"]
        fix = FIXES.get(entry["reason"], FIXES["error"])
        same = found.setdefault(key, Refused(entry["text"], fix, [], entry["time"]))
        same.count += 1
        if entry["task"] and entry["task"] not in same.tasks:
            same.tasks.append(entry["task"])
    return list(found.values())


def _proposals(registry: Registry, project: int) -> Mapping[str, Any]:
    """Return what the card of a project's version says of proposals; nothing where it cannot be read."""
    try:
        version = registry.current(f"project-{project}")
        facts = read_card(version.path).get(CARD_KEY) if version else None
    except (ClickmaskError, OSError):  # told with the served models
        facts = None
    return facts if isinstance(facts, Mapping) else {}


def _lines(registry: Registry, status: dict[str, Any]) -> list[Line]:
    found = []
    for name in registry.lines():
        loaded, problem = status["models"].get(name, {}), status["problems"].get(name, "")
        try:
            current, kept = registry.current(name), len(registry.names(name))
            promoted = current.name if current else "none promoted"
        except (ClickmaskError, OSError) as error:
            promoted, kept, problem = "unknown", 0, problem or str(error)
        found.append(Line(name, promoted, loaded.get("version", ""), loaded.get("device", ""), kept, problem))
    return found
