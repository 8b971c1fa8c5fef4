"""Which images a fine-tuned model was made for: those that look like the images it learned from.

An image is described by its colours and by how much structure it has at which scale and orientation (the energies
of a Laplacian pyramid, Burt and Adelson 1983); two images are as far apart as their descriptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SIDE = 128  # pixels; what is left of an image before it is described
LEVELS, ORIENTED = 5, 3  # of the pyramid, and those of them whose orientations count
DARK = 0.003  # energies below it are noise
COLOUR = 8.0  # what colours weigh against structure
EXEMPLARS = 64
# Photographs of everyday things are so far from each other, and farther from most other images.
FARTHEST = 0.3
NEAREST = 0.1
MARGIN = 1.5


def describe(image: np.ndarray) -> np.ndarray:
    """Describe an image (HxWx3 uint8 RGB): float32[38], without a unit; a function of the pixels alone."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    level: np.ndarray = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / 255
    values = [COLOUR * level.mean((0, 1)), COLOUR * level.std((0, 1))]
    for number in range(LEVELS):
        low = cv2.GaussianBlur(level, (0, 0), 1.0)
        band = np.abs(level - low)
        energy = band.mean((0, 1))
        sparse = band[..., 0].std() / (energy[:1] + DARK)
        values += [np.log(energy + DARK), 0.5 * np.log(sparse + 0.1)]
        if number < ORIENTED:
            values.append(_orientation(level[..., 0]))
        level = low[::2, ::2]
    return np.concatenate(values).astype(np.float32)


def _orientation(light: np.ndarray) -> np.ndarray:
    """Compute log energies of the gradient in four directions, relative to their mean."""
    across, down = cv2.Sobel(light, -1, 1, 0), cv2.Sobel(light, -1, 0, 1)
    pairs = (across, 1.0), (down, 1.0), (across + down, np.sqrt(2)), (across - down, np.sqrt(2))
    energies = np.log([np.abs(field).mean() / scale + 2 * DARK for field, scale in pairs])
    return energies - energies.mean()


@dataclass(frozen=True)
class Domain:
    """A kind of images.

    Attributes:
        exemplars: descriptions of some of them, Nx38 float32.
        limit: an image nearer than this to an exemplar belongs to them.
    """

    exemplars: np.ndarray
    limit: float

    @classmethod
    def of(cls, descriptions: Sequence[np.ndarray]) -> Domain:
        """Make the kind of images that have these descriptions (D float32 each); at least one."""
        found = np.stack(descriptions)
        typical = float(np.quantile(_nearest(found), 0.9)) if len(found) > 1 else FARTHEST
        return cls(_spread(found, EXEMPLARS), float(np.clip(MARGIN * typical, NEAREST, FARTHEST)))

    def covers(self, image: np.ndarray) -> bool:
        """Tell whether an image (HxWx3 uint8 RGB) belongs to this kind."""
        return bool(distances(describe(image)[None], self.exemplars).min() <= self.limit)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for a card."""
        return {"limit": round(self.limit, 4), "exemplars": np.round(self.exemplars, 3).tolist()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Domain:
        """Read what `as_json` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            exemplars, limit = np.array(values["exemplars"], np.float32), float(values["limit"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the card's domain cannot be read ({error!r}): train the version again"
            ) from None
        if exemplars.ndim != 2 or exemplars.shape[1] != describe(np.zeros((8, 8, 3), np.uint8)).size:
            raise ValueError(f"the card's domain has shape {exemplars.shape}: train the version again")
        return cls(exemplars, limit)


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Compute root mean square differences, NxM, of NxD and MxD."""
    return np.sqrt(((one[:, None] - other[None]) ** 2).mean(2))


def _nearest(found: np.ndarray) -> np.ndarray:
    """Compute the distance of every row to the nearest other one, row by row: all pairs may be gigabytes."""
    gaps = []
    for place in range(len(found)):
        own = distances(found[place : place + 1], found)[0]
        own[place] = np.inf
        gaps.append(own.min())
    return np.array(gaps)


def _spread(found: np.ndarray, count: int) -> np.ndarray:
    """Choose at most `count` of the rows, each as far as can be from those before (Gonzalez 1985)."""
    chosen, gaps = [0], distances(found, found[:1])[:, 0]
    while len(chosen) < min(count, len(found)):
        chosen.append(int(gaps.argmax()))
        gaps = np.minimum(gaps, distances(found, found[chosen[-1:]])[:, 0])
    return found[chosen]
