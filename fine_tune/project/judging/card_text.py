"""The gain of fine-tuning in words and as a plot for a terminal, from a version's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fine_tune.project.phases import CHOOSE, JUDGE

HEIGHT = 10  # rows of the plot
BEFORE, AFTER, BOTH = "o", "*", "#"


def describe(card: Mapping[str, Any]) -> list[str]:
    """Write lines of text; none where the version was not fine-tuned."""
    return [*_describe_gate(card), *proposals(card.get("proposals") or {})]


def proposals(facts: Mapping[str, Any]) -> list[str]:
    """Say what the gate for proposals found; none where nothing is known of them."""
    if "reason" not in facts:
        return []
    return [f"proposals are {'offered' if facts.get('offered') else 'not offered'}: {facts['reason']}"]


def _describe_gate(card: Mapping[str, Any]) -> list[str]:
    metrics = card.get("metrics") or {}
    verdict, before, after = (metrics.get(key) for key in ("gate", "before", "after"))
    if not (verdict and before and after):
        return []
    low, high = verdict["interval"]
    # Not on cards of older versions: the confidence, and how many objects were planned, 0 where they are too few.
    confidence, told = verdict.get("confidence", 0.95), verdict.get("planned") != 0
    saved = f"; saved {verdict['saved']:.1f} ({100 * confidence:.3g} % interval {low:.1f} to {high:.1f})"
    text = [
        f"clicks per object to IoU 0.90: {before['noc90']:.1f} -> {after['noc90']:.1f} on {verdict['objects']} "
        f"held-out objects{saved if told else ''}",
        f"gate: {'promoted' if verdict['promoted'] else 'kept back'}, {verdict['reason']}",
    ]
    text += work(metrics)
    if "general" in metrics and "after" in metrics["general"]:
        general = metrics["general"]
        text.append(
            f"retention set: {general['before']['noc90']:.1f} -> {general['after']['noc90']:.1f} clicks to IoU 0.90"
        )
    curves = [side["clickers"]["classic"]["curve"] for side in (before, after)]
    return [*text, "", *plot(*curves)]


def work(metrics: Mapping[str, Any]) -> list[str]:
    """Say how much was done and how long it took; none on cards of older versions."""
    done = metrics.get("training")
    if not done:
        return []
    seconds = metrics.get("seconds") or {}
    judging = sum(seconds.get(phase, 0.0) for phase in (CHOOSE, JUDGE))
    return [
        f"work: {done['steps']} of {done['planned_steps']} training steps ({done['samples']} clicks learned from) in "
        f"{done['seconds'] / 60:.1f} minutes, judged by {metrics.get('clicks', 0)} clicks in "
        f"{judging / 60:.1f} minutes"
    ]


def plot(before: Sequence[float], after: Sequence[float]) -> list[str]:
    """Plot two curves of IoU (0..1) over clicks as lines of text."""
    values = [*before, *after]
    low = min(int(min(values) * 10) / 10, 0.9)
    step = (1 - low) / HEIGHT
    rows = [[" "] * (2 * len(before)) for _ in range(HEIGHT + 1)]
    for mark, curve in ((BEFORE, before), (AFTER, after)):
        for click, value in enumerate(curve):
            row, column = HEIGHT - round((value - low) / step), 2 * click
            rows[row][column] = BOTH if rows[row][column] == BEFORE and mark == AFTER else mark
    drawn = [f"{1 - i * step:4.2f} |{''.join(row)}" for i, row in enumerate(rows)]
    last = f"{len(before)} clicks"
    return [
        *drawn,
        f"     +{'-' * 2 * len(before)}",
        f"      1 {last:>{max(2 * len(before) - 2, len(last))}}",
        f"      IoU: {BEFORE} before, {AFTER} after, {BOTH} both",
    ]
