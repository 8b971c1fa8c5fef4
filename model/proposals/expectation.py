"""What IoU proposals of a score turned out to have: makes of a score an expected quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

FEWEST = 20  # proposals below which nothing is told


@dataclass(frozen=True)
class Expectation:
    """The IoU that is expected of a score, a line through points that never falls.

    Attributes:
        scores: of the points, ascending, 0..1.
        ious: of the points, 0..1.
        error: root mean square of what proposals differed by, 0..1.
    """

    scores: tuple[float, ...]
    ious: tuple[float, ...]
    error: float

    @staticmethod
    def fit(scores: Sequence[float], ious: Sequence[float]) -> Expectation | None:
        """Fit it to proposals whose IoU is known, by isotonic regression; None where they are fewer than `FEWEST`."""
        if len(scores) < FEWEST:
            return None
        order = np.argsort(scores, kind="stable")
        ordered, known = np.asarray(scores, float)[order], np.asarray(ious, float)[order]
        made = isotonic_regression(known)
        blocks = list(zip(made.blocks[:-1], made.blocks[1:], strict=True))
        points = tuple(round(float(ordered[a:b].mean()), 4) for a, b in blocks)
        values = tuple(round(float(made.x[a]), 4) for a, _ in blocks)
        error = float(np.sqrt(np.mean((np.interp(ordered, points, values) - known) ** 2)))
        return Expectation(points, values, round(error, 4))

    def of(self, score: float) -> float:
        """Compute the IoU that is expected of a score."""
        return float(np.interp(score, self.scores, self.ious))

    def as_json(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Expectation:
        """Read what `as_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        scores, ious = (tuple(map(float, value[key])) for key in ("scores", "ious"))
        if not scores or len(scores) != len(ious) or not np.isfinite([*scores, *ious]).all():
            raise ValueError(f"{len(scores)} scores with {len(ious)} IoUs")
        return Expectation(scores, ious, float(value["error"]))
