"""Pictures of an evaluation: IoU over clicks, and a contact sheet of masks with their clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.click import Click
from model.evaluation.evaluate import THRESHOLD
from model.evaluation.report import Report
from model.inference.predictor import Predictor, replay
from model.scene import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
TRUTH_COLOUR, MASK_COLOUR = "#ffffff", "#ffb000"
POSITIVE_COLOUR, NEGATIVE_COLOUR = "#00c040", "#ff2020"


@dataclass(frozen=True)
class Panel:
    """One picture of a contact sheet: image HxWx3 uint8 RGB, truth and mask HxW bool, the mask's clicks."""

    title: str
    image: np.ndarray
    truth: np.ndarray
    mask: np.ndarray
    clicks: Sequence[Click]


def curves(reports: Mapping[tuple[str, str], Report], title: str) -> Figure:
    """Draw the mean IoU over clicks, one line per (set, clicker); clickers after the first of a set are dashed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    colours: dict[str, str] = {}
    for (name, clicker), report in reports.items():
        style = "--" if name in colours else "-"
        colours.setdefault(name, f"C{len(colours)}")
        curve = report.curve()
        label = f"{name}, {clicker} clicks ({len(report.records)})"
        axes.plot(range(1, len(curve) + 1), curve, style, color=colours[name], marker="o", ms=3, label=label)
    for target in (0.85, 0.90):
        axes.axhline(target, color="0.6", lw=0.8, ls=":")
    axes.set(title=title, xlabel="clicks", ylabel="mean IoU", xlim=(0.5, None), ylim=(None, 1))
    axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize="small")
    return figure


def worst(
    predictor: Predictor, played: Mapping[str, tuple[Sequence[Sample], Report]], count: int, clicks: int
) -> list[Panel]:
    """Choose the objects with the lowest IoU after `clicks` clicks over all sets, the worst first, as panels.

    Their masks are predicted again from the recorded clicks. `played` has samples and report by name of the set.
    """
    ranked = []
    for name, (samples, report) in played.items():
        by_id = {sample.id: sample for sample in samples}
        ranked += [(record, name, by_id[record.sample]) for record in report.worst(count, clicks)]
    ranked.sort(key=lambda entry: entry[0].ious[:clicks][-1])
    panels = []
    for record, name, sample in ranked[:count]:
        scene, shown = sample.load(), record.clicks[:clicks]
        mask = replay(predictor, scene.image, shown) > THRESHOLD * 255
        steps = sorted({1, min(clicks, len(record.ious)), len(record.ious)})
        trail = ", ".join(f"{record.ious[k - 1]:.2f} @{k}" for k in steps)
        panels.append(Panel(f"{name} {record.sample}: {trail}", scene.image, scene.truth, mask, shown))
    return panels


def contact_sheet(panels: Sequence[Panel], title: str) -> Figure:
    """Draw images side by side with the outlines of truth (white) and mask (orange) and numbered clicks: green for
    positive, red for negative.
    """
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(panels))
    rows = ceil(len(panels) / columns)
    figure = Figure(figsize=(3.6 * columns, 3.2 * rows + 0.6), layout="constrained")
    truth = "white: truth, " if any(panel.truth.any() for panel in panels) else ""
    figure.suptitle(f"{title}\n{truth}orange: mask; green: positive click, red: negative click")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, panel in zip(grid, panels, strict=False):
        draw_panel(axes, panel)
    return figure


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draw one picture of a contact sheet."""
    axes.imshow(panel.image)
    axes.set_title(panel.title, fontsize="small")
    for mask, colour in ((panel.truth, TRUTH_COLOUR), (panel.mask, MASK_COLOUR)):
        outline = np.pad(mask, 1).astype(np.float32)  # padded: outlines close at the border of the image
        if outline.any():
            columns, rows = np.arange(-1, mask.shape[1] + 1), np.arange(-1, mask.shape[0] + 1)
            axes.contour(columns, rows, outline, levels=[0.5], colors=colour, linewidths=1.2)
    for number, click in enumerate(panel.clicks, 1):
        colour = POSITIVE_COLOUR if click.positive else NEGATIVE_COLOUR
        x, y = click.x - 0.5, click.y - 0.5  # imshow puts the centre of pixel 0 at 0
        axes.plot(x, y, "o", color=colour, markeredgecolor="white", markersize=8)
        axes.text(x, y, str(number), color="white", fontsize=5, ha="center", va="center", clip_on=True)
    axes.set(xlim=(-0.5, panel.image.shape[1] - 0.5), ylim=(panel.image.shape[0] - 0.5, -0.5))


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or WebP by the suffix, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
