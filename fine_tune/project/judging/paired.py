"""Paired comparison of two models: the mean difference over objects, with intervals over images.

Objects of one image are alike, so images are the units that were drawn at random: the mean is a ratio of sums over
images. Its standard error (CR2) and its degrees of freedom are those of Bell and McCaffrey (2002, Survey Methodology
28): images - 1 where all have as many objects, and fewer where some have most of them, because then these few decide.
With few images that is wide, as it must be; a bootstrap would be too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class PairedMean:
    """A mean over objects, of a difference or of another figure.

    Attributes:
        value: the mean.
        error: its standard error; infinite where there are fewer than two images.
        freedom: degrees of freedom of that.
        objects, images: how many there are.
    """

    value: float
    error: float
    freedom: float
    objects: int
    images: int

    def low(self, chance: float) -> float:
        """Return a bound that the true mean is below with a chance of at most `chance` (one side)."""
        return self.value - self._reach(chance)

    def high(self, chance: float) -> float:
        """Return a bound that the true mean is above with a chance of at most `chance` (one side)."""
        return self.value + self._reach(chance)

    def _reach(self, chance: float) -> float:
        if not np.isfinite(self.error):
            return float("inf")
        return float(student.ppf(1 - chance, self.freedom)) * self.error


def paired_mean(images: Sequence[str], differences: np.ndarray) -> PairedMean:
    """Compute the mean of the objects' differences.

    Args:
        images: image of every object.
        differences: float64, one for every object.
    """
    names = sorted(set(images))
    place = {name: index for index, name in enumerate(names)}
    of = np.array([place[image] for image in images])
    return mean_of_sums(np.bincount(of, differences, len(names)), np.bincount(of, minlength=len(names)))


def mean_of_sums(sums: np.ndarray, counts: np.ndarray) -> PairedMean:
    """Compute the mean over objects from sums over the units that were drawn at random.

    Args:
        sums: float64, the sum over the objects of every unit.
        counts: how many objects every unit has, 1 or more.
    """
    objects, units = int(counts.sum()), len(counts)
    mean = float(sums.sum() / objects)
    if units < 2:
        return PairedMean(mean, float("inf"), 0.0, objects, units)
    share = counts / objects
    error = float(np.sqrt(((sums - counts * mean) ** 2 / (1 - share)).sum())) / objects
    pull = share**2 / (1 - share)
    freedom = 1 / float((share**2).sum() + pull.sum() ** 2 - (pull**2).sum())
    return PairedMean(mean, error, freedom, objects, units)
