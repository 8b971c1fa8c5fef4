"""The gate: compare the served and the tuned model by clicks on images that neither was trained on.

Two annotators are simulated, the classic one of the field and a noisy one (`model.evaluation.clicker`); an
object's figures are the mean over both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model.evaluation.evaluate import CLICKERS, Predicts, Rules, evaluate
from model.evaluation.report import Report
from model.scene import Sample

TARGET = 0.90
EARLY = 3  # clicks after which the IoU is compared
THRESHOLD = 127.5 / 255  # masks as they are served


@dataclass(frozen=True)
class Limits:
    """What the gate demands.

    Attributes:
        few: held-out objects below which nothing can be told; as many images as `images` are needed, too.
        enough: from so many objects on, the model must be better, below it must not be worse.
        early_loss: IoU after EARLY clicks may fall by so much while too few objects are held out to be sure.
        stuck_gain, stuck_iou: where hardly any object reaches the target, the IoU after EARLY clicks must surely grow
            by so much, to so much: wrong masks end here.
        retention_loss: how much the mean number of clicks on the retention set may grow over the base model's.
        objects: at most so many held-out objects are clicked.
        clicks: an object's maximum of clicks.
    """

    few: int = 6
    images: int = 2
    enough: int = 20
    early_loss: float = 0.005
    stuck_gain: float = 0.02
    stuck_iou: float = 0.3
    retention_loss: float = 0.5
    objects: int = 40
    clicks: int = 20


@dataclass(frozen=True)
class Measured:
    """One model on one set: the reports of all annotators."""

    reports: dict[str, Report]

    @property
    def noc(self) -> float:
        """Mean clicks to IoU 0.90 over objects and annotators."""
        return float(np.mean([report.noc(TARGET) for report in self.reports.values()]))

    @property
    def early(self) -> float:
        """Mean IoU after EARLY clicks over objects and annotators."""
        return float(np.mean([r.iou_at(min(EARLY, r.max_clicks)) for r in self.reports.values()]))

    def clicks(self) -> tuple[list[str], np.ndarray]:
        """Return the image of every object, and its clicks to IoU 0.90 (float64)."""
        reports = list(self.reports.values())
        images = [record.sample.partition("#")[0] for record in reports[0].records]
        return images, np.mean([[record.noc(TARGET) for record in r.records] for r in reports], 0)

    def earlies(self) -> np.ndarray:
        """Return the IoU of every object after EARLY clicks (float64)."""
        reports = list(self.reports.values())
        place = min(EARLY, reports[0].max_clicks) - 1
        return np.mean([[record.ious[place] for record in r.records] for r in reports], 0)

    def as_json(self) -> dict[str, Any]:
        """Return the figures for the card."""
        kinds = {
            name: {
                "noc85": report.noc(0.85),
                "noc90": report.noc(TARGET),
                "curve": [round(float(v), 4) for v in report.curve()],
            }
            for name, report in self.reports.items()
        }
        return {"noc90": self.noc, "iou_at_3": self.early, "clickers": kinds}


@dataclass(frozen=True)
class Verdict:
    """What the gate decides, and why.

    Attributes:
        promoted: serve it.
        reason: one sentence for people.
        objects, images: how many held-out ones were clicked.
        saved: clicks saved per object, with its 95 % interval.
    """

    promoted: bool
    reason: str
    objects: int
    images: int
    saved: float = 0.0
    interval: tuple[float, float] = (0.0, 0.0)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def measure(
    predictor: Predicts,
    samples: Sequence[Sample],
    clicks: int,
    on_object: Callable[[], None] = lambda: None,
) -> Measured:
    """Let every annotator click every object.

    Args:
        clicks: an object's maximum.
        on_object: called as each is done, once for every annotator; what it raises ends the measurement.
    """
    reports = {}
    for clicker in CLICKERS:
        rules = Rules(clicker, max_clicks=clicks, threshold=THRESHOLD, batch=8)
        reports[clicker] = evaluate(predictor, samples, rules, on_record=lambda record: on_object())
    return Measured(reports)


def judge(before: Measured, after: Measured, limits: Limits) -> Verdict:
    """Compare on the project's held-out objects. Enough of them or not is part of the verdict.

    Args:
        before, after: of the served and of the tuned model, on the same objects.
    """
    images, old = before.clicks()
    _, new = after.clicks()
    saved, interval = float(np.mean(old - new)), _interval(images, old - new)
    gained = after.early - before.early
    count, sources = len(images), len(set(images))
    figures = (
        f"clicks to IoU {TARGET:.2f} {before.noc:.1f} -> {after.noc:.1f}, IoU after {EARLY} clicks "
        f"{before.early:.3f} -> {after.early:.3f}"
    )
    if not np.isfinite([saved, gained]).all():
        return Verdict(False, "the tuned model does not answer with numbers", count, sources)
    if count < limits.few or sources < limits.images:
        good, reason = False, too_few(count, sources, limits)
    elif after.noc > _most(after) - 0.5:
        surely = _interval(images, after.earlies() - before.earlies())[0]
        good = surely >= limits.stuck_gain and after.early >= limits.stuck_iou and saved >= 0
        reason = (
            f"{'better' if good else 'not surely better'} on {count} held-out objects, of which hardly any reaches "
            f"the target (are the masks right?): {figures}"
        )
    elif count < limits.enough:
        good = saved >= 0 and gained >= -limits.early_loss
        reason = f"{'not worse' if good else 'worse'} on {count} held-out objects (few): {figures}"
    else:
        good = saved >= 0 and gained >= 0 and (saved > 0 or gained > 0)
        reason = f"{'better' if good else 'not better'} on {count} held-out objects: {figures}"
    return Verdict(good, reason, count, sources, saved, interval)


def _most(measured: Measured) -> int:
    return next(iter(measured.reports.values())).max_clicks


def too_few(objects: int, images: int, limits: Limits) -> str:
    """Say that the held-out part tells nothing."""
    return (
        f"only {objects} objects on {images} images are held out, at least {limits.few} on {limits.images} are "
        "needed to tell; annotate more, or serve it with `clickmask fine-tune PROJECT --force`"
    )


def retains(base: Measured, tuned: Measured, limits: Limits) -> bool:
    """Tell whether the retention set is answered almost as well as by the base model."""
    values = [base.noc, tuned.noc, base.early, tuned.early]
    return bool(np.isfinite(values).all()) and tuned.noc - base.noc <= limits.retention_loss


def surely_earlier(one: Measured, other: Measured) -> bool:
    """Tell whether the other model's IoU after EARLY clicks is higher by more than chance."""
    images, _ = one.clicks()
    return _interval(images, other.earlies() - one.earlies())[0] > 0


def _interval(images: Sequence[str], saved: np.ndarray) -> tuple[float, float]:
    """Compute the 95 % bootstrap interval of the mean, drawing whole images: objects of one image are alike."""
    names = sorted(set(images))
    groups = [saved[[i for i, image in enumerate(images) if image == name]] for name in names]
    sums, counts = np.array([g.sum() for g in groups]), np.array([len(g) for g in groups])
    drawn = np.random.default_rng(0).integers(len(groups), size=(2000, len(groups)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
