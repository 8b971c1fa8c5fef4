"""Projects made of shapes, for tests of fine-tuning without Label Studio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from fine_tune.data.project_samples import LabelledImage
from model.networks import build
from model.versions.registry import Registry, Version
from tests.fine_tune.shape_scenes import shape_scene

PARAMS = {"width": 32, "context_layers": 1, "context_dim": 32}
CARD: dict[str, Any] = {
    "architecture": {"name": "lite0-fpn", "params": PARAMS},
    "encoding": {"name": "disk", "radius": 5.0},
    "size": 96,
}


def network() -> nn.Module:
    """An untrained network, always the same."""
    torch.manual_seed(0)
    return build("lite0-fpn", **PARAMS)


def base(registry: Registry) -> Version:
    """A promoted base version that knows nothing."""
    version = registry.add("base", network(), CARD)
    registry.promote(version)
    return version


def retention_set(folder: Path) -> Path:
    """Write a retention set of one object, so that judging on it takes no time; returns the folder."""
    scene = shape_scene(np.random.default_rng(99))
    for kind, pixels in (("images", scene.image), ("masks", scene.truth.astype(np.uint8))):
        (folder / kind).mkdir(parents=True)
        cv2.imwrite(str(folder / kind / "one.png"), pixels)
    return folder


class ShapeAnnotations:
    """An `AnnotationList` of shapes; annotation n is of image n.

    Args:
        listed: the annotations as the API would give them.
        truth: changes a mask (HxW bool) before it is given out, for wrong annotations.
    """

    def __init__(self, listed: list[dict[str, Any]], truth: Callable[[np.ndarray], np.ndarray]) -> None:
        self._listed, self._truth = listed, truth

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._listed)

    def images(self, chosen: set[int], on_problem: Callable[[str], None]) -> Iterator[LabelledImage]:
        for number in sorted(chosen):
            scene = shape_scene(np.random.default_rng(number))
            yield LabelledImage(f"image-{number}", scene.image, [self._truth(scene.truth)])


class Shapes:
    """A source of annotated shapes.

    Args:
        count: annotations in the project.
        truth, listed_as: see `ShapeAnnotations`; another class of it for a source that fails.
    """

    def __init__(
        self,
        count: int,
        truth: Callable[[np.ndarray], np.ndarray] = lambda mask: mask,
        listed_as: type[ShapeAnnotations] = ShapeAnnotations,
    ) -> None:
        self.listed = [
            {"id": n, "task": n, "updated_at": f"2026-01-01T00:00:{n:02}Z", "result_count": 1}
            for n in range(count)
        ]
        self._truth, self._listed_as = truth, listed_as

    def annotations(self) -> ShapeAnnotations:
        return self._listed_as(list(self.listed), self._truth)
