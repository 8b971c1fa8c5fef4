"""What jobs are made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fine_tune.data import synthetic_scenes
from fine_tune.project.judging.gate import Limits
from fine_tune.training.fine_tuner import Effort
from fine_tune.training.trainer import SceneSource
from model.scene import Sample
from model.versions.registry import Registry


@dataclass(frozen=True)
class Setup:
    """What attempts need.

    Attributes:
        registry: where versions are.
        accept: which annotations count, see `acceptance.RULES`.
        effort, limits: of training and of the gate.
        keep: versions kept per project.
        device, threads, precision: of the gate's predictors, see `Clicking`.
        replay: further scenes to train on, or None.
        retention_set: objects on which the base model's answers must not be forgotten.
        home: where records of clicks, pictures, the pace and the state of a job are kept; None keeps nothing.
    """

    registry: Registry
    accept: str = "submitted"
    effort: Effort = field(default_factory=Effort)
    limits: Limits = field(default_factory=Limits)
    keep: int = 5
    device: str = "auto"
    threads: int = 0
    precision: str = "auto"
    replay: SceneSource | None = None
    retention_set: Sequence[Sample] = field(default_factory=synthetic_scenes.samples)
    home: Path | None = None

    def folder(self, *parts: str) -> Path | None:
        """Name a file or folder under `home`; None where nothing is kept."""
        return None if self.home is None else self.home.joinpath(*parts)
