"""The report as files: a table in Markdown and the curves as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fine_tune.quality.corpus import BAD, Record
from fine_tune.quality.report import MEASURES, OURS, Measure, curve


def table(rows: Mapping[str, Mapping[str, Measure]]) -> str:
    """Methods by measures, in Markdown."""
    lines = ["| | " + " | ".join(MEASURES) + " |", "|---" * (len(MEASURES) + 1) + "|"]
    for name, measures in rows.items():
        cells = [str(measures[label]) for label in MEASURES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def composition(records: Sequence[Record]) -> str:
    """How many annotations of how many images, by which kinds of annotators, and how good they are."""
    ious = np.array([record.annotation.iou for record in records])
    kinds = ", ".join(sorted({record.kind for record in records}))
    images = len({record.subject for record in records})
    return (
        f"{len(records)} annotations of {images} images by {kinds}; mean IoU {ious.mean():.3f}, "
        f"{(ious < BAD).mean():.0%} below {BAD}"
    )


def by_kind(records: Sequence[Record], scores: np.ndarray) -> str:
    """Mean true and predicted IoU of every kind of annotator, in Markdown."""
    lines = ["| annotators | annotations | mean IoU | predicted |", "|---|---|---|---|"]
    for kind in dict.fromkeys(record.kind for record in records):
        at = np.array([record.kind == kind for record in records])
        true = np.array([record.annotation.iou for record in records])[at].mean()
        lines.append(f"| {kind} | {at.sum()} | {true:.3f} | {scores[at].mean():.3f} |")
    return "\n".join(lines)


def draw(parts: Mapping[str, tuple[Sequence[Record], Mapping[str, np.ndarray]]], path: Path) -> None:
    """Mean IoU of the worst share, for every part of the test and every method, with the oracle."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(parts), 4), layout="constrained")
    FigureCanvasAgg(figure)
    shares = np.linspace(0.02, 1, 50)
    for axis, (title, (records, scores)) in zip(
        figure.subplots(1, len(parts), squeeze=False)[0], parts.items(), strict=True
    ):
        ious = np.array([record.annotation.iou for record in records])
        for name, values in scores.items():
            if name == "random":
                axis.axhline(ious.mean(), color="0.6", lw=1, ls=":", label="random (expected)")
            elif name == "oracle":
                axis.plot(100 * shares, curve(values, ious, shares), "--", color="0.4", lw=1, label=name)
            else:
                style = {"lw": 2.6, "color": "black"} if name == OURS else {"lw": 1.2}
                axis.plot(100 * shares, curve(values, ious, shares), label=name, **style)
        axis.set(title=title, xlabel="worst x % by predicted quality", ylabel="mean IoU", xlim=(0, 100))
        axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
