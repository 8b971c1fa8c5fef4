"""Proposals as one picture: the images on which they save most, in the middle of all, and least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fine_tune import figures
from fine_tune.proposals.gate import MATCHED, TARGET, ImageActions
from fine_tune.proposals.training import CompleteImage
from model.mask_ops import iou
from model.proposals.propose import Proposal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD, POOR, FALSE, MISSED = "#00c040", "#ffb000", "#ff2020", "#ffffff"
LEGEND = "green: good; orange: to be mended; red: false; white: missed"


@dataclass(frozen=True)
class Judged:
    """An image, what is proposed on it, and what that saves."""

    truth: CompleteImage
    proposals: Sequence[Proposal]
    counted: ImageActions

    @property
    def actions(self) -> float:
        """Return the actions with proposals."""
        return self.counted.by_hand - sum(entry.saving for entry in self.counted.proposals)


def draw(path: Path, title: str, judged: Sequence[Judged]) -> None:
    """Draw the best, the median and the worst of the images that have objects (PNG, WebP: by the suffix)."""
    from matplotlib.figure import Figure

    known = [image for image in judged if image.counted.by_hand]
    order = sorted(known, key=lambda image: image.actions / image.counted.by_hand)
    chosen = [order[place] for place in sorted({0, len(order) // 2, len(order) - 1})]
    figure = Figure(figsize=(4 * len(chosen), 4.8), layout="constrained")
    figure.suptitle(f"{title} ({LEGEND})", fontsize="medium")
    for axes, image in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        _draw_image(axes, image)
    figures.save(figure, path)


def _draw_image(axes: Axes, image: Judged) -> None:
    counted = image.counted
    axes.imshow(image.truth.image)
    for proposal, entry in zip(image.proposals, counted.proposals, strict=True):
        colour = GOOD if entry.iou >= TARGET else POOR if entry.iou >= MATCHED else FALSE
        _outline(axes, proposal.mask, colour)
    for mask in image.truth.masks:
        if all(iou(proposal.mask, mask, image.truth.ignore) < MATCHED for proposal in image.proposals):
            _outline(axes, mask, MISSED)
    words = f"{counted.objects} objects: {counted.by_hand:.0f} clicks by hand, {image.actions:.0f} actions"
    axes.set_title(words, fontsize="medium")
    axes.set_axis_off()


def _outline(axes: Axes, mask: np.ndarray, colour: str) -> None:
    axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.2)
