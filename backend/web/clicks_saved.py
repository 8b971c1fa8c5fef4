"""Clicks saved so far: what objects took with a project's own models beside what they took with the base model.

Both are counted on accepted annotations, with the clicks that annotators really made. An annotation is the unit that
was drawn at random, because objects of one image are alike; see `fine_tune.project.judging.paired`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from backend.jobs.object_clicks import Tally
from fine_tune.project.judging.paired import mean_of_sums
from model.versions.registry import BASE

VERSIONS_OF_BASE = f"{BASE}-"  # how their names begin
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Counted:
    """Holds what objects took with one kind of model.

    Attributes:
        annotations, objects: how many there are.
        each: mean clicks of an object; 0 without objects.
        error: standard error of `each`; infinite with fewer than two annotations.
        freedom: degrees of freedom of that.
    """

    annotations: int = 0
    objects: int = 0
    each: float = 0.0
    error: float = float("inf")
    freedom: float = 0.0

    @staticmethod
    def of(pairs: Sequence[tuple[int, int]]) -> Counted:
        """Count pairs of objects and clicks, one for each annotation."""
        if not pairs:
            return Counted()
        objects, clicks = np.array(pairs, float).T
        mean = mean_of_sums(clicks, objects)
        return Counted(mean.images, mean.objects, mean.value, mean.error, mean.freedom)


@dataclass(frozen=True)
class ClicksSaved:
    """Compares a project's models with the base model.

    Attributes:
        base, own: what objects took.
        saved: clicks that all objects of `own` took less than as many with the base model.
        low, high: its interval of `CONFIDENCE`; infinite where too few annotations tell.
    """

    base: Counted
    own: Counted
    saved: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Tell whether clicks were surely saved, or surely lost."""
        return self.low > 0 or self.high < 0

    @property
    def known(self) -> bool:
        """Tell whether there are objects of both."""
        return bool(self.base.objects and self.own.objects)


def count(tallies: Iterable[Tally]) -> ClicksSaved:
    """Compare the tallies of a project's accepted annotations."""
    sides: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for tally in tallies:
        for is_base, pairs in sides.items():
            kept = [
                entry for version, entry in tally.items() if version.startswith(VERSIONS_OF_BASE) is is_base
            ]
            objects, clicks = sum(entry[0] for entry in kept), sum(entry[1] for entry in kept)
            if objects:
                pairs.append((objects, clicks))
    base, own = Counted.of(sides[True]), Counted.of(sides[False])
    if not (base.objects and own.objects):
        return ClicksSaved(base, own, 0.0, float("-inf"), float("inf"))
    saved = own.objects * (base.each - own.each)
    error = own.objects * float(np.hypot(base.error, own.error))
    if not np.isfinite(error):
        return ClicksSaved(base, own, saved, float("-inf"), float("inf"))
    reach = float(student.ppf((1 + CONFIDENCE) / 2, min(base.freedom, own.freedom))) * error
    return ClicksSaved(base, own, saved, saved - reach, saved + reach)
