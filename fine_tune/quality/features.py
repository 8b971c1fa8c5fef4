"""Steps -> numbers a model reads: one row per step, and one row for the whole annotation.

Pure functions of the steps; nothing here knows the truth, an image or a name. Counts and seconds enter as
logarithms, so that a slow annotator is not an outlier.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fine_tune.quality.steps import Step

STEP_NAMES = (
    "seconds",
    "positive",
    "undone",
    "moved from last",
    "area",
    "change",
    "growth",
    "surprise",
    "depth",
    "expected",
    "undecided",
    "weakest",
    "parts",
    "roughness",
    "sure",
    "tenth",
    "stable",
    "solid",
    "around",
)
WHOLE_NAMES = (
    "clicks",
    "negative share",
    "undone",
    "total seconds",
    "median seconds",
    "last seconds",
    "spread",
    "last change",
    "mean change",
    "largest late change",
    "last surprise",
    "mean surprise",
    "last expected",
    "lowest expected",
    "last undecided",
    "weakest",
    "parts",
    "roughness",
    "area",
    "first area ratio",
    "edited",
    "last sure",
    "last tenth",
    "last stable",
    "last solid",
    "last around",
    "mean sure",
    "mean tenth",
    "mean stable",
    "mean around",
    "proposed",
)


def step_rows(steps: Sequence[Step]) -> np.ndarray:
    """Compute the features of the steps: TxF float32, F as `STEP_NAMES`."""
    rows = []
    for index, step in enumerate(steps):
        effect, last = step.effect, steps[max(index - 1, 0)]
        moved = np.hypot(step.x - last.x, step.y - last.y) / np.sqrt(max(effect.area, 1e-4))
        rows.append(
            (
                np.log1p(step.seconds),
                float(step.positive),
                np.log1p(step.undone),
                np.log1p(moved),
                np.sqrt(effect.area),
                _magnitude(effect.change),
                effect.growth,
                effect.surprise,
                np.clip(effect.depth, -2, 2),
                effect.expected,
                np.log1p(effect.undecided),
                effect.weakest,
                np.log1p(effect.parts),
                np.log1p(effect.roughness),
                effect.sure,
                effect.tenth,
                effect.stability_score,
                effect.solidity,
                effect.around,
            )
        )
    return np.array(rows, np.float32).reshape(-1, len(STEP_NAMES))


def whole_row(steps: Sequence[Step], edited: float = 0.0, proposed: bool = False) -> np.ndarray:
    """Compute the features of the whole: F float32, F as `WHOLE_NAMES`.

    Args:
        edited, proposed: see `fine_tune.quality.network.Trace`.

    Raises:
        ValueError: there are no steps.
    """
    if not steps:
        raise ValueError("an annotation without steps has no features: it was not made with clicks")
    effects, last = [step.effect for step in steps], steps[-1].effect
    pauses = [step.seconds for step in steps[1:]] or [0.0]
    late = [effect.change for effect in effects[1:]][-3:] or [1.0]
    return np.array(
        (
            np.log(max(steps[-1].clicks, 1)),
            np.mean([not step.positive for step in steps]),
            np.log1p(sum(step.undone for step in steps)),
            np.log1p(sum(pauses)),
            np.log1p(np.median(pauses)),
            np.log1p(pauses[-1]),
            _spread(steps),
            _magnitude(last.change),
            np.mean([_magnitude(effect.change) for effect in effects]),
            _magnitude(max(late)),
            last.surprise,
            np.mean([effect.surprise for effect in effects]),
            last.expected,
            min(effect.expected for effect in effects),
            np.log1p(last.undecided),
            last.weakest,
            np.log1p(last.parts),
            np.log1p(last.roughness),
            np.sqrt(last.area),
            np.log((last.area + 1e-4) / (effects[0].area + 1e-4)),
            edited,
            last.sure,
            last.tenth,
            last.stability_score,
            last.solidity,
            last.around,
            np.mean([effect.sure for effect in effects]),
            np.mean([effect.tenth for effect in effects]),
            np.mean([effect.stability_score for effect in effects]),
            np.mean([effect.around for effect in effects]),
            float(proposed),
        ),
        np.float32,
    )


def _magnitude(change: float) -> float:
    """0..1 -> 0..1, spreading the small changes: whether a mask still moves 1 % or 5 % is what matters."""
    return float(1 + np.log10(max(change, 1e-3)) / 3)


def _spread(steps: Sequence[Step]) -> float:
    """Mean distance of the clicks to their centre, in sqrt(mask area)."""
    points = np.array([(step.x, step.y) for step in steps])
    distance = np.linalg.norm(points - points.mean(0), axis=1).mean()
    return float(np.log1p(distance / np.sqrt(max(steps[-1].effect.area, 1e-4))))
