"""Fits predicted quality to one project, from annotations whose true quality a review has told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fine_tune.quality.network import Quality

MIN_REVIEWED = 20
# The prior "no correction needed" weighs as much as this many reviewed annotations.
PRIOR = 10.0
MARGIN = 0.01  # IoUs are moved this far from 0 and 1, where their log odds would be infinite


@dataclass(frozen=True)
class Calibration:
    """A line through the log odds of predicted and true IoU, which keeps the order of the annotations.

    Attributes:
        offset, slope: true log odds = offset + slope * predicted log odds; slope > 0.
        spread: by how much the uncertainty is multiplied.
        reviewed: number of annotations it comes from; 0 for none.
    """

    offset: float = 0.0
    slope: float = 1.0
    spread: float = 1.0
    reviewed: int = 0

    def apply(self, quality: Quality) -> Quality:
        """Correct a prediction."""
        if not self.reviewed:
            return quality
        iou = 1 / (1 + np.exp(-(self.offset + self.slope * _log_odds(quality.iou))))
        return Quality(float(iou), min(quality.uncertainty * self.spread, 0.5))


def fit(predicted: Sequence[Quality], true: Sequence[float]) -> Calibration:
    """Fit to pairs of predicted quality and true IoU.

    Raises:
        ValueError: fewer than `MIN_REVIEWED` pairs.
    """
    if len(predicted) != len(true) or len(true) < MIN_REVIEWED:
        raise ValueError(
            f"{len(true)} reviewed annotations are too few to calibrate with: at least {MIN_REVIEWED} objects must "
            "have another annotation beside them in their task, marked as ground truth or of somebody else"
        )
    x, y = _log_odds([quality.iou for quality in predicted]), _log_odds(true)
    design = np.stack([np.ones_like(x), x], 1)
    prior = PRIOR * np.diag([1.0, max(float(x.var()), 0.1)])
    offset, slope = np.linalg.solve(design.T @ design + prior, design.T @ y + prior @ [0.0, 1.0])
    line = Calibration(float(offset), max(float(slope), 0.05), 1.0, len(true))
    error = np.sqrt(np.mean([(line.apply(q).iou - t) ** 2 for q, t in zip(predicted, true, strict=True)]))
    claimed = np.sqrt(np.mean([quality.uncertainty**2 for quality in predicted]))
    return Calibration(line.offset, line.slope, float(np.clip(error / max(claimed, 1e-3), 0.2, 5)), len(true))


def _log_odds(iou: float | Sequence[float]) -> np.ndarray:
    values = np.clip(np.asarray(iou, float), MARGIN, 1 - MARGIN)
    return np.log(values / (1 - values))
