"""Paired comparison of two models: the mean difference over objects, with intervals over images.

Objects of one image are alike, so images are the units that were drawn at random: the mean is a ratio of sums over
images, and its standard error is the linearised one of a cluster sample with Student's t on images - 1 degrees of
freedom. With few images that is wide, as it must be; a bootstrap would be too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class PairedMean:
    """A mean difference over objects.

    Attributes:
        value: the mean.
        error: its standard error; infinite where there are fewer than two images.
        objects, images: how many there are.
    """

    value: float
    error: float
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
        return float(student.ppf(1 - chance, self.images - 1)) * self.error


def paired_mean(images: Sequence[str], differences: np.ndarray) -> PairedMean:
    """Compute the mean of the objects' differences.

    Args:
        images: image of every object.
        differences: float64, one for every object.
    """
    names = sorted(set(images))
    place = {name: index for index, name in enumerate(names)}
    of = np.array([place[image] for image in images])
    sums = np.bincount(of, differences, len(names))
    counts = np.bincount(of, minlength=len(names))
    mean = float(differences.mean())
    if len(names) < 2:
        return PairedMean(mean, float("inf"), len(images), len(names))
    scale = len(names) / (len(names) - 1)
    error = float(np.sqrt(scale * ((sums - counts * mean) ** 2).sum())) / len(images)
    return PairedMean(mean, error, len(images), len(names))
