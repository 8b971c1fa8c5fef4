"""How often the gate errs: verdicts on stand-in models whose truth is known.

A stand-in needs a random number of clicks for an object: the object and its image are easy or hard for every model,
each model has its own luck with an image and with an object, and each annotator with a click. Two stand-ins without a
shift are drawn alike, so that neither is better: the gate promotes by error. A shift of a model's mean is its true
gain, which is measured on so many objects that it is no longer chance. The gate sees the curves of two annotators, as
in a job.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fine_tune.project.judging import gate
from fine_tune.project.judging.gate import TARGET, Limits, Measured
from model.evaluation.evaluate import CLICKERS
from model.evaluation.report import Record, Report

COLUMNS = ("true gain", "objects", "images", "promoted", "objects clicked", "repetitions")
# Standard deviations of logarithms, so chosen that paired differences spread as those of real versions do.
HARD_IMAGE, HARD_OBJECT = 0.3, 0.5
LUCK_IMAGE, LUCK_OBJECT, LUCK_CLICK = 0.08, 0.25, 0.3
MEAN = 6.0  # clicks
MANY = 200_000  # objects on which a true gain is measured
ROWS = tuple(
    (gain, *size) for gain in (0.0, 0.5, 1.0, 2.0) for size in ((40, 40), (40, 8), (20, 10), (10, 5), (6, 6))
)


@dataclass(frozen=True)
class Objects:
    """Held-out objects: the image of each, and the mean of the logarithm of its clicks."""

    images: np.ndarray
    hard: np.ndarray

    @classmethod
    def draw(cls, objects: int, images: int, rng: np.random.Generator) -> Objects:
        """Draw objects, spread over the images as evenly as can be."""
        of = np.arange(objects) % images
        hard = rng.normal(0, HARD_IMAGE, images)[of] + rng.normal(0, HARD_OBJECT, objects)
        return cls(of, np.log(MEAN) + hard)

    def clicks(self, shift: float, most: int, rng: np.random.Generator) -> np.ndarray:
        """Let a new model be clicked; return annotators x objects int64, 1 to `most`."""
        images = int(self.images.max()) + 1
        luck = rng.normal(0, LUCK_IMAGE, images)[self.images] + rng.normal(0, LUCK_OBJECT, len(self.hard))
        chance = rng.normal(0, LUCK_CLICK, (len(CLICKERS), len(self.hard)))
        drawn = np.exp(self.hard + luck + chance) - shift
        return np.clip(drawn.round(), 1, most).astype(np.int64)

    def measured(self, clicks: np.ndarray, most: int) -> Measured:
        """Write down clicks (annotators x objects) as a measurement."""
        names = [f"{image}#{index}" for index, image in enumerate(self.images)]
        reports = {}
        for clicker, counts in zip(CLICKERS, clicks, strict=True):
            curves = [_curve(int(count), most) for count in counts]
            records = [Record(name, curve, (), 0.0) for name, curve in zip(names, curves, strict=True)]
            reports[clicker] = Report(records)
        return Measured(reports)


@cache
def _curve(clicks: int, most: int) -> tuple[float, ...]:
    """Draw the IoU over clicks of an object that reaches the target with so many of them, unless these are all."""
    reached = clicks < most
    early = [TARGET * (1 - 0.5 * (1 - click / clicks)) - 0.01 for click in range(1, clicks)]
    return tuple([*early, TARGET if reached else TARGET - 0.01] + [TARGET] * (most - clicks))


@cache
def true_gain(shift: float, most: int) -> float:
    """Measure the clicks that a shift of the mean saves per object."""
    rng = np.random.default_rng(1)
    objects = Objects.draw(MANY, MANY, rng)
    return float((objects.clicks(0.0, most, rng) - objects.clicks(shift, most, rng)).mean())


@cache
def shift_for(gain: float, most: int) -> float:
    """Find the shift of the mean with which a model truly saves `gain` clicks per object."""
    low, high = 0.0, 3 * gain
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if true_gain(middle, most) < gain else (low, middle)
    return low


def verdicts(gain: float, objects: int, images: int, repetitions: int) -> list[tuple[bool, int]]:
    """Let the gate judge stand-ins; return whether each is promoted, and how many objects were clicked for it."""
    limits, rng = Limits(), np.random.default_rng((0, objects, images))
    most, shift = limits.clicks, shift_for(gain, limits.clicks) if gain else 0.0
    found = []
    for _ in range(repetitions):
        held_out = Objects.draw(objects, images, rng)
        before, after = held_out.clicks(0.0, most, rng), held_out.clicks(shift, most, rng)
        found.append(_judged(held_out, before, after, limits))
    return found


def _judged(held_out: Objects, before: np.ndarray, after: np.ndarray, limits: Limits) -> tuple[bool, int]:
    for look in gate.looks(len(held_out.images), limits):
        part = Objects(held_out.images[: look.objects], held_out.hard[: look.objects])
        one, other = (part.measured(clicks[:, : look.objects], limits.clicks) for clicks in (before, after))
        verdict = gate.judge(one, other, limits, look)
        if verdict is not None:
            return verdict.promoted, look.objects
    raise AssertionError("the last look has a verdict")


def table(repetitions: int, rows: Sequence[tuple[float, int, int]] | None = None) -> Iterator[dict[str, Any]]:
    """Simulate all rows of the table: true gain, held-out objects, and the images that they are on."""
    for gain, objects, images in ROWS if rows is None else rows:
        found = verdicts(gain, objects, images, repetitions)
        promoted = float(np.mean([promoted for promoted, _ in found]))
        clicked = float(np.mean([objects for _, objects in found]))
        facts = [gain, objects, images, f"{promoted:.1%}", f"{clicked:.0f}", repetitions]
        yield dict(zip(COLUMNS, facts, strict=True))
