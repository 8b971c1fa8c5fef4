"""The gate: decide by clicks on images that neither model was trained on whether the tuned one is better.

Two annotators are simulated, the classic one of the field and a noisy one (`model.evaluation.clicker`); an object's
figures are the mean over both. The decision is made by the paired interval over images
(`fine_tune.project.judging.paired`), in up to three looks at more and more objects, which share the chance of an
error (Bonferroni): where the first objects tell enough, the others are not clicked.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fine_tune.project.judging.paired import PairedMean, paired_mean
from model.evaluation.report import Report

TARGET = 0.90
EARLY = 3  # clicks after which the IoU is compared
THRESHOLD = 127.5 / 255  # masks as they are served


@dataclass(frozen=True)
class Limits:
    """What the gate demands.

    Attributes:
        few: held-out objects below which nothing can be told; as many images as `images` are needed, too.
        error: chance that a model is promoted that needs as many clicks as the served one, or more.
        worthwhile: clicks per object; the gate gives up early on a model that surely saves fewer.
        early_loss: IoU after EARLY clicks may fall by so much.
        stuck_gain, stuck_iou: where hardly any object reaches the target, the IoU after EARLY clicks must surely grow
            by so much, to so much: wrong masks end here.
        retention_loss: how much the mean number of clicks on the retention set may grow over the base model's.
        objects: at most so many held-out objects are clicked.
        clicks: an object's maximum of clicks.
        ignorant: IoU after EARLY clicks on training images below which the base model counts as ignorant of them.
    """

    few: int = 6
    images: int = 2
    error: float = 0.05
    worthwhile: float = 0.3
    early_loss: float = 0.005
    stuck_gain: float = 0.02
    stuck_iou: float = 0.3
    retention_loss: float = 0.5
    objects: int = 40
    clicks: int = 12
    ignorant: float = 0.3


@dataclass(frozen=True)
class Look:
    """One look at the first `objects` of the held-out ones.

    Attributes:
        objects: how many are clicked by then.
        error: the chance of an error that is spent here.
        last: whether no other look follows.
    """

    objects: int
    error: float
    last: bool


def looks(objects: int, limits: Limits) -> list[Look]:
    """Plan the looks at so many held-out objects; few of them are looked at once, so that no power is lost."""
    sizes = [size for size in (12, 24) if size <= 0.75 * objects and size >= 2 * limits.few] + [objects]
    weights = {1: (1.0,), 2: (0.3, 0.7), 3: (0.2, 0.3, 0.5)}[len(sizes)]
    return [
        Look(size, limits.error * weight, size == objects)
        for size, weight in zip(sizes, weights, strict=True)
    ]


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
        return float(self.earlies().mean())

    @property
    def most(self) -> int:
        """Clicks that an object could get."""
        return next(iter(self.reports.values())).max_clicks

    @property
    def images(self) -> list[str]:
        """Image of every object."""
        first = next(iter(self.reports.values()))
        return [record.sample.partition("#")[0] for record in first.records]

    def clicks(self) -> np.ndarray:
        """Return every object's clicks to IoU 0.90 (float64)."""
        return np.mean([[record.noc(TARGET) for record in r.records] for r in self.reports.values()], 0)

    def earlies(self) -> np.ndarray:
        """Return every object's IoU after EARLY clicks (float64)."""
        place = min(EARLY, self.most) - 1
        return np.mean([[record.ious[place] for record in r.records] for r in self.reports.values()], 0)

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
        saved, interval: clicks saved per object, and the confidence interval of that.
        confidence: of the interval, 0..1; each of its sides errs with the chance that the gate spent on this look.
        planned: how many objects would have been clicked had the verdict not been sure before.
    """

    promoted: bool
    reason: str
    objects: int
    images: int
    saved: float = 0.0
    interval: tuple[float, float] = (0.0, 0.0)
    confidence: float = 0.95
    planned: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def judge(before: Measured, after: Measured, limits: Limits, look: Look) -> Verdict | None:
    """Compare on the held-out objects of one look.

    Args:
        before, after: of the served and of the tuned model, on the same objects.

    Returns:
        The verdict; None where it is not sure yet and other looks follow.
    """
    images, planned = before.images, look.objects
    saved = paired_mean(images, before.clicks() - after.clicks())
    gained = paired_mean(images, after.earlies() - before.earlies())
    if not np.isfinite([saved.value, gained.value]).all():
        reason = "the tuned model does not answer with numbers"
        return Verdict(False, reason, saved.objects, saved.images, planned=planned)
    if saved.objects < limits.few or saved.images < limits.images:
        return Verdict(False, too_few(saved.objects, saved.images, limits), saved.objects, saved.images)
    if min(before.noc, after.noc) > after.most - 0.5:
        good = (
            gained.low(look.error) >= limits.stuck_gain
            and after.early >= limits.stuck_iou
            and saved.value >= 0
        )
        hopeless = gained.high(look.error) < limits.stuck_gain
        said = "better" if good else "not surely better"
        where = "of which hardly any reaches the target (are the masks right?)"
        told = f"{said} on {saved.objects} held-out objects, {where}"
    else:
        good = saved.low(look.error) > 0 and gained.value >= -limits.early_loss
        hopeless = saved.high(look.error) < limits.worthwhile
        told = f"{_said(good, saved)} on {saved.objects} held-out objects of {saved.images} images"
    if not (good or hopeless or look.last):
        return None
    interval = saved.low(look.error), saved.high(look.error)
    reason = f"{told}: {_figures(before, after, saved, interval)}"
    confidence = round(1 - 2 * look.error, 3)
    return Verdict(good, reason, saved.objects, saved.images, saved.value, interval, confidence, planned)


def _figures(before: Measured, after: Measured, saved: PairedMean, interval: tuple[float, float]) -> str:
    return (
        f"clicks to IoU {TARGET:.2f} {before.noc:.1f} -> {after.noc:.1f}, saved {saved.value:.1f} "
        f"({interval[0]:.1f} to {interval[1]:.1f}), IoU after {EARLY} clicks {before.early:.3f} -> {after.early:.3f}"
    )


def _said(good: bool, saved: PairedMean) -> str:
    if good:
        return "better"
    return "not better" if saved.value <= 0 else "not surely better"


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
