"""The config in an official checkpoint: the class that was trained and the options of its constructor."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.networks.entry import IMAGENET_MEAN, IMAGENET_STD
from model.versions.checkpoint import CheckpointError

MOST = 4096  # channels, blocks or pixels: more than any network has, so that a file cannot ask for all memory
NORM = (IMAGENET_MEAN, IMAGENET_STD)


@dataclass(frozen=True)
class Config:
    """What describes a network.

    Attributes:
        kind: name of the original class, without its module.
        options: option -> value; what the trainer noted beside a value is left out.
        path: of the file, for messages.
    """

    kind: str
    options: Mapping[str, Any]
    path: Path

    @classmethod
    def parse(cls, raw: Mapping[str, Any], path: Path) -> Config:
        """Take apart `class` (dotted path) and `params` (option -> value, or -> {"value": ...}).

        Raises:
            CheckpointError: one of them is missing.
        """
        params = raw.get("params")
        if not isinstance(raw.get("class"), str) or not isinstance(params, Mapping):
            raise CheckpointError(
                f"{path}: config has no class and params; use a checkpoint as RITM or SimpleClick publish them"
            )
        return cls(
            raw["class"].rpartition(".")[2], {key: _value(entry) for key, entry in params.items()}, path
        )

    def error(self, trouble: str) -> CheckpointError:
        """Name the file in front of the trouble."""
        return CheckpointError(f"{self.path}: {trouble}")

    def count(self, name: str, value: object, least: int = 1) -> int:
        """Check a number of channels, blocks or pixels."""
        if type(value) is not int or not least <= value <= MOST:
            raise self.error(f"{name} is {_short(value)}; it must be a whole number from {least} to {MOST}")
        return value

    def counts(self, name: str, value: object, length: int) -> tuple[int, ...]:
        """Check a list or tuple of such numbers."""
        if not isinstance(value, list | tuple) or len(value) != length:
            raise self.error(f"{name} is {_short(value)}; it must be a list of {length} whole numbers")
        return tuple(self.count(f"{name}[{place}]", part) for place, part in enumerate(value))

    def only(self, name: str, value: object, supported: Collection[object]) -> None:
        """Check that an option has a value that is supported."""
        if value not in supported:
            raise self.error(
                f"{name} is {_short(value)}; supported is {' or '.join(map(repr, supported))} alone"
            )

    def encoding(self, default_radius: float) -> dict[str, Any]:
        """Return the card's `encoding`."""
        radius = self.options.get("norm_radius", default_radius)
        if not isinstance(radius, int | float) or not 0 < radius < math.inf:
            raise self.error(f"norm_radius is {_short(radius)}; it must be a number above 0")
        return {"name": "disk" if self.options.get("use_disks") else "distance", "radius": float(radius)}

    def norm(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean and standard deviation of the image, three channels each."""
        value = self.options.get("norm_mean_std", NORM)
        try:
            mean, std = (tuple(float(number) for number in part) for part in value)
            good = len(mean) == len(std) == 3 and all(map(math.isfinite, mean + std)) and min(std) > 0
        except (TypeError, ValueError):
            good = False
        if not good:
            raise self.error(
                f"norm_mean_std is {_short(value)}; it must be three means and three deviations above 0"
            )
        return mean, std

    def printable(self) -> dict[str, str]:
        """Return class and options as text, for the card."""
        return {"class": self.kind} | {key: str(value) for key, value in self.options.items()}


def _value(entry: Any) -> Any:
    return entry["value"] if isinstance(entry, Mapping) and "value" in entry else entry


def _short(value: object) -> str:
    return repr(value)[:80]
