"""Draws IoU over clicks before and after a fine-tuning, as the numbers of an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 300, 120  # of the plot without its labels, in units of its own
STEPS = (0.02, 0.05, 0.1, 0.2)  # between two labels of the y axis
LABELS = 5  # of an axis, at most


@dataclass(frozen=True)
class Chart:
    """Holds a chart.

    Attributes:
        before, after: points of a polyline, "x,y x,y ...".
        rows: y and text of the labels of the IoU axis, the highest first.
        columns: x and text of the labels of the click axis.
        summary: what the chart shows in a sentence, for people who do not see it.
    """

    before: str
    after: str
    rows: list[tuple[float, str]]
    columns: list[tuple[float, str]]
    summary: str


def draw(before: Sequence[float], after: Sequence[float]) -> Chart:
    """Draw two curves of IoU (0..1) after click 1, 2, ...; a curve may be shorter than the other."""
    clicks = max(len(before), len(after))
    step, low = _scale(min(*before, *after))

    def y(iou: float) -> float:
        return round((1 - iou) / (1 - low) * HEIGHT, 1)

    def x(click: int) -> float:
        return round((click - 1) * WIDTH / max(clicks - 1, 1), 1)

    def points(curve: Sequence[float]) -> str:
        return " ".join(f"{x(click)},{y(iou)}" for click, iou in enumerate(curve, 1))

    every = -(-clicks // LABELS)
    shown = [1, *range(every, clicks + 1, every)] if every > 1 else list(range(1, clicks + 1))
    last = min(3, len(before), len(after))
    return Chart(
        before=points(before),
        after=points(after),
        rows=[(y(1 - i * step), f"{1 - i * step:.2f}") for i in range(round((1 - low) / step) + 1)],
        columns=[(x(click), str(click)) for click in shown],
        summary=f"IoU after {last} clicks: {before[last - 1]:.2f} before, {after[last - 1]:.2f} after",
    )


def _scale(least: float) -> tuple[float, float]:
    """Return the step between labels and the lowest label, at or below the least IoU."""
    for step in STEPS:
        count = int((1 - max(least, 0.0)) / step - 1e-9) + 1
        if count < LABELS + 1:
            return step, max(1 - count * step, 0.0)
    return STEPS[-1], 0.0
