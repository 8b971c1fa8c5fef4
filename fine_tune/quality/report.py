"""The report: how well predicted quality orders annotations for review, beside simpler ways to order them.

Intervals are bootstraps over images: annotations of one image are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import roc_auc_score

from fine_tune.quality.dataset import BAD, Record
from fine_tune.quality.features import WHOLE_NAMES, whole_row
from fine_tune.quality.network import Batch, QualityModel
from fine_tune.quality.training import examples

REVIEWED = 0.2  # of the annotations
FEW = 0.15  # bad masks in a project of good annotators
OURS = "clickmask"
RESAMPLES = 1000


@dataclass(frozen=True)
class Measure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


# Of N annotations each measure takes predicted scores (N floats, higher is better) and true IoUs (N floats, 0..1).


def spearman(scores: np.ndarray, ious: np.ndarray) -> float:
    """Compute Spearman's rank correlation of scores and IoUs; 0 where all scores or all IoUs are equal."""
    if np.ptp(scores) == 0 or np.ptp(ious) == 0:
        return 0.0
    return float(spearmanr(scores, ious).statistic)


def auroc(scores: np.ndarray, ious: np.ndarray) -> float:
    """Compute the chance that a bad mask scores lower than a good one; 0.5 where there is no bad or no good one."""
    good = ious >= BAD
    return 0.5 if good.all() or not good.any() else float(roc_auc_score(good, scores))


def found(scores: np.ndarray, ious: np.ndarray) -> float:
    """Compute the share of the bad masks among the first `REVIEWED` of the annotations, lowest scores first."""
    order = np.argsort(scores, kind="stable")
    first = ious[order[: max(round(REVIEWED * len(ious)), 1)]]
    return float((first < BAD).sum() / max((ious < BAD).sum(), 1))


def found_of_few(scores: np.ndarray, ious: np.ndarray) -> float:
    """Compute what `found` would be in a project where only `FEW` of the masks are bad, by weighting the two kinds.

    Where more than `REVIEWED` of the masks are bad, nothing can find them all among the first.
    """
    bad, order = ious < BAD, np.argsort(scores, kind="stable")
    if bad.all() or not bad.any():
        return float(bad.any()) * REVIEWED
    weights = np.where(bad, FEW / bad.sum(), (1 - FEW) / (~bad).sum())[order]
    first = np.cumsum(weights) <= REVIEWED
    return float(weights[first & bad[order]].sum() / FEW)


def worst(scores: np.ndarray, ious: np.ndarray) -> float:
    """Compute the mean IoU of the first tenth reviewed."""
    order = np.argsort(scores, kind="stable")
    return float(ious[order[: max(round(0.1 * len(ious)), 1)]].mean())


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "Spearman": spearman,
    "AUROC": auroc,
    "found in first 20 %": found,
    "found, were 15 % bad": found_of_few,
    "mean IoU of worst 10 %": worst,
}


def score_all(model: QualityModel, train: Sequence[Record], test: Sequence[Record]) -> dict[str, np.ndarray]:
    """Score the N of `test` by every method, N floats each (higher = better mask).

    Simple methods take their sign from `train`; the oracle knows the truth, and nothing can find more than it does.
    """
    old = np.array([whole_row(r.annotation.steps, r.annotation.edited) for r in train])
    new = np.array([whole_row(r.annotation.steps, r.annotation.edited) for r in test])
    ious = np.array([r.annotation.iou for r in train])
    rng = np.random.default_rng(0)
    noise = rng.permutation(len(test)) * 1e-9  # equal scores in random order
    means, _, trees = model.opinions(Batch.of([r.trace for r in test]))
    scores = {
        OURS: np.array([quality.iou for quality in model.predict([r.trace for r in test])]),
        "its networks alone": means.mean(0).numpy(),
        "its trees alone": trees.numpy(),
        "gradient boosting": boosting(train).predict(new),
    }
    simple = {"model confidence": "last expected", "last change": "last change", "number of clicks": "clicks"}
    for name, feature in simple.items():
        column = WHOLE_NAMES.index(feature)
        scores[name] = np.sign(spearman(old[:, column], ious)) * new[:, column] + noise
    scores["random"] = rng.permutation(len(test)).astype(float)
    return {**scores, "oracle": np.array([r.annotation.iou for r in test])}


def boosting(train: Sequence[Record]) -> GradientBoostingRegressor:
    """Fit gradient boosting on the features of the whole to what our model was fitted to."""
    traces, ious, weights = examples(train)
    rows = np.array([whole_row(trace.steps, trace.edited) for trace in traces])
    model = GradientBoostingRegressor(
        n_estimators=300, max_depth=4, learning_rate=0.05, subsample=0.7, random_state=0
    )
    return model.fit(rows, ious.numpy(), sample_weight=weights.numpy())


def bootstrap(
    test: Sequence[Record], scores: Mapping[str, np.ndarray]
) -> tuple[dict[str, dict[str, Measure]], dict[str, dict[str, Measure]]]:
    """Compute every measure of every method, and by how much ours is above each, by resampling images."""
    ious = np.array([record.annotation.iou for record in test])
    draws = list(_resamples([record.subject for record in test], np.random.default_rng(0)))
    table: dict[str, dict[str, Measure]] = {name: {} for name in scores}
    ahead: dict[str, dict[str, Measure]] = {name: {} for name in scores if name != OURS}
    for label, measure in MEASURES.items():
        drawn = {n: np.array([measure(s[d], ious[d]) for d in draws]) for n, s in scores.items()}
        value = {n: measure(s, ious) for n, s in scores.items()}
        for name in scores:
            table[name][label] = _interval(value[name], drawn[name])
            if name != OURS:
                ahead[name][label] = _interval(value[OURS] - value[name], drawn[OURS] - drawn[name])
    return table, ahead


def _resamples(subjects: Sequence[str], rng: np.random.Generator) -> list[np.ndarray]:
    groups: dict[str, list[int]] = {}
    for index, subject in enumerate(subjects):
        groups.setdefault(subject, []).append(index)
    members = [np.array(group) for group in groups.values()]
    return [
        np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        for _ in range(RESAMPLES)
    ]


def _interval(value: float, drawn: np.ndarray) -> Measure:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Measure(value, float(low), float(high))


def curve(scores: np.ndarray, ious: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Compute the mean IoU of the worst share x by score, for every x (0..1] of `shares`; as many floats."""
    order = np.argsort(scores, kind="stable")
    return np.array([ious[order[: max(round(x * len(ious)), 1)]].mean() for x in shares])


def table(rows: Mapping[str, Mapping[str, Measure]]) -> str:
    """Format methods by measures as a table in Markdown."""
    lines = ["| | " + " | ".join(MEASURES) + " |", "|---" * (len(MEASURES) + 1) + "|"]
    for name, measures in rows.items():
        cells = [str(measures[label]) for label in MEASURES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def composition(records: Sequence[Record]) -> str:
    """Say how many annotations of how many images there are, by which annotators, and how good they are."""
    ious = np.array([record.annotation.iou for record in records])
    kinds = ", ".join(sorted({record.kind for record in records}))
    images = len({record.subject for record in records})
    return (
        f"{len(records)} annotations of {images} images by {kinds}; mean IoU {ious.mean():.3f}, "
        f"{(ious < BAD).mean():.0%} below {BAD}"
    )


def by_kind(records: Sequence[Record], scores: np.ndarray) -> str:
    """Format the mean true and predicted IoU of every kind of annotator as a table in Markdown."""
    lines = ["| annotators | annotations | mean IoU | predicted |", "|---|---|---|---|"]
    for kind in dict.fromkeys(record.kind for record in records):
        at = np.array([record.kind == kind for record in records])
        true = np.array([record.annotation.iou for record in records])[at].mean()
        lines.append(f"| {kind} | {at.sum()} | {true:.3f} | {scores[at].mean():.3f} |")
    return "\n".join(lines)


def draw(parts: Mapping[str, tuple[Sequence[Record], Mapping[str, np.ndarray]]], path: Path) -> None:
    """Draw the mean IoU of the worst share, for every part of the test and every method, with the oracle."""
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
