"""The verdict as one picture: IoU over clicks before and after, and five held-out objects before and after."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fine_tune import figures
from fine_tune.figures import Panel
from fine_tune.project.judging.gate import EARLY, TARGET, THRESHOLD, Measured, Verdict
from model.click import Click
from model.evaluation.evaluate import CLICKERS, Predicts
from model.evaluation.report import Record
from model.inference.predictor import Request
from model.scene import Sample, Scene

logger = logging.getLogger(__name__)

SHOWN = 5  # objects
MARGIN = 0.4  # of an object's size, shown around it
Side = tuple[Predicts, Measured]  # a model's predictor, and what was measured with it


def draw(
    path: Path, title: str, verdict: Verdict, samples: Sequence[Sample], before: Side, after: Side
) -> None:
    """Draw the verdict into a PNG file; what fails is logged, because the version does not depend on it.

    Args:
        samples: the held-out objects that were measured, and perhaps others.
        before, after: of the served and of the tuned model.
    """
    try:
        chosen = typical(before[1], after[1])
        scenes = {sample.id: sample for sample in samples}
        rows = [[_panel(side, scenes[name].load(), name) for name in chosen] for side in (before, after)]
        reports = [side[1].reports[CLICKERS[0]] for side in (before, after)]
        save(path, title, verdict, [report.curve() for report in reports], rows)
    except Exception:  # whatever a drawing library does not like today
        logger.exception("%s cannot be drawn", path)


def typical(before: Measured, after: Measured) -> list[str]:
    """Choose objects from the one that gained most clicks to the one that lost most, evenly spaced between them."""
    saved = before.clicks() - after.clicks()
    order = np.argsort(-saved, kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int))
    records = before.reports[CLICKERS[0]].records
    return [records[order[place]].sample for place in places]


def save(
    path: Path, title: str, verdict: Verdict, curves: Sequence[np.ndarray], rows: Sequence[Sequence[Panel]]
) -> None:
    """Lay out curves (before, after) above rows of panels (before, after), and write the PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * SHOWN, 8.6), layout="constrained")
    words = f"{title}: {'promoted' if verdict.promoted else 'kept back'}. {verdict.reason}"
    figure.suptitle(textwrap.fill(words, 120), fontsize="medium")
    top, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=[1.1, 1, 1])[:, 0]
    axes = top.subplots()
    for curve, label, colour in zip(curves, ("before", "after"), ("0.5", "C0"), strict=True):
        axes.plot(range(1, len(curve) + 1), curve, marker="o", ms=3, color=colour, label=label)
    axes.axhline(TARGET, color="0.7", lw=0.8, ls=":")
    axes.set(xlabel="clicks (an object stops at IoU 0.90)", ylabel="mean IoU", ylim=(None, 1))
    axes.legend(loc="lower right", fontsize="small")
    axes.grid(alpha=0.25)
    for part, panels, label in zip((middle, bottom), rows, ("before", "after"), strict=True):
        told = f"{label}: white is the truth, orange the mask after {EARLY} clicks"
        part.suptitle(told, fontsize="medium")
        for place, panel in zip(part.subplots(1, SHOWN, squeeze=False)[0], panels, strict=False):
            figures.draw_panel(place, panel)
        for place in part.axes:
            place.set_axis_off()
    figures.save(figure, path)


def _panel(side: Side, scene: Scene, name: str) -> Panel:
    """Predict again what an object looked like after its first clicks, and cut it out."""
    predictor, measured = side
    record = next(r for r in measured.reports[CLICKERS[0]].records if r.sample == name)
    clicks = record.clicks[:EARLY]
    answer: np.ndarray | None = None
    for count in range(1, len(clicks) + 1):
        answer = predictor.predict_many([Request(scene.image, clicks[:count], answer)])[0]
    assert answer is not None, "every object is clicked"
    mask = answer > THRESHOLD * 255
    cut = _around(scene.truth | mask)
    moved = [Click(click.x - cut[1].start, click.y - cut[0].start, click.positive) for click in clicks]
    return Panel(_title(record), scene.image[cut], scene.truth[cut], mask[cut], moved)


def _title(record: Record) -> str:
    shown = min(EARLY, len(record.clicks))
    needed = record.noc(TARGET)
    reached = record.ious[needed - 1] >= TARGET
    return f"IoU {record.ious[shown - 1]:.2f} @{shown}; {needed if reached else 'more than ' + str(needed)} clicks"


def _around(mask: np.ndarray) -> tuple[slice, slice]:
    """Cut out what is true in an HxW bool mask, with a margin."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    slices: list[Any] = []
    for places, size in ((rows, mask.shape[0]), (columns, mask.shape[1])):
        margin = int(MARGIN * (places[-1] - places[0] + 1)) + 8
        slices.append(slice(max(int(places[0]) - margin, 0), min(int(places[-1]) + 1 + margin, size)))
    return slices[0], slices[1]
