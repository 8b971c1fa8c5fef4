"""Says what the status page shows of a project: what it learned, clicks saved, the quality of its masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.web import chart
from backend.web.clicks_saved import CONFIDENCE, ClicksSaved
from backend.web.learning import ProjectFigures
from fine_tune.project.judging.card_text import proposals, work
from fine_tune.project.outcome import Outcome, picture_of
from model.proposals.trained import CARD_KEY

OUTCOMES = 3  # of the last jobs


def card(figures: ProjectFigures, home: Path, served: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template needs.

    Args:
        served: what the card of the version that is served says of proposals; empty for nothing.

    ``sentences`` are lines about clicks, one for each thing that saves some.
    """
    outcomes = [_outcome(outcome, home) for outcome in figures.outcomes]
    return {
        "id": figures.id,
        "known": figures.known,
        "accepted": figures.accepted,
        "fresh": figures.fresh,
        "saved": _headline(figures.saved),
        "sentences": [*_saved(figures.saved), *_proposals(figures.outcomes, served)],
        "gate": next((outcome for outcome in outcomes if outcome["chart"] is not None), None),
        "outcomes": outcomes[:OUTCOMES],
        "quality": _quality(figures.quality),
    }


def _headline(saved: ClicksSaved) -> str:
    """Return the number that stands out; "" where none is sure."""
    return f"{saved.saved:,.0f}" if saved.low > 0 else ""


def _saved(saved: ClicksSaved) -> list[str]:
    if not saved.known:
        sides = ((saved.own, "this project's models"), (saved.base, "the base model"))
        return [
            f"{side.objects} accepted objects took {side.each:.1f} clicks each with {model}"
            for side, model in sides
            if side.objects
        ]
    counted = (
        f"{saved.own.objects} accepted objects took {saved.own.each:.1f} clicks each with this project's models, "
        f"{saved.base.objects} took {saved.base.each:.1f} with the base model"
    )
    if saved.low == float("-inf"):
        return [f"{counted}: too few annotations to say what that saves"]
    interval = f"{100 * CONFIDENCE:.0f} % interval {saved.low:.0f} to {saved.high:.0f}"
    if not saved.sure:
        return [f"{counted}: no difference that is sure yet ({interval} clicks)"]
    word = "saved" if saved.saved > 0 else "lost"
    return [f"{counted}: about {abs(saved.saved):.0f} clicks {word} so far ({interval})"]


def _proposals(outcomes: Sequence[Outcome], served: Mapping[str, Any]) -> list[str]:
    """Say whether proposals are offered now, else what the newest job that looked for them found."""
    known = (outcome.metrics.get(CARD_KEY) for outcome in outcomes)
    newest: Mapping[str, Any] = next(filter(None, known), {})
    if served.get("offered") or not newest:
        return proposals(served)
    if newest.get("offered"):  # as after a rollback
        version = newest.get("version") or "the version that learned them"
        return [f"proposals are not offered: {version} is not served"]
    return proposals(newest)


def _outcome(outcome: Outcome, home: Path) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "version": outcome.version,
        "reason": outcome.reason,
        "problems": outcome.problems[:5],
        "at": datetime.fromtimestamp(outcome.at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "chart": _chart(outcome),
        "picture": f"pictures/{outcome.version}.png" if picture_of(home, outcome.version).exists() else "",
        "work": _work(outcome),
    }


def _work(outcome: Outcome) -> list[str]:
    try:
        return work(outcome.metrics)
    except (KeyError, TypeError, ValueError):  # of a version that counts otherwise
        return []


def _chart(outcome: Outcome) -> chart.Chart | None:
    """Draw a gate's curves; None where they were not measured."""
    try:
        curves = (outcome.metrics[when]["clickers"]["classic"]["curve"] for when in ("before", "after"))
        before, after = ([float(iou) for iou in curve] for curve in curves)
        return chart.draw(before, after)
    except (KeyError, TypeError, ValueError, IndexError):  # also of a version that measures otherwise
        return None


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
