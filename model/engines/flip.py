"""Test-time augmentation: the mean of the answers for an image and for its mirror image."""

from __future__ import annotations

import numpy as np

from model.engines.base import Engine


class FlipTTA:
    """Average an engine's answers for the input and for the mirrored input: steadier edges for twice the work."""

    def __init__(self, engine: Engine) -> None:
        self.size, self.device = engine.size, engine.device
        self._engine = engine

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        both = self._engine.run(
            np.concatenate([image, image[:, :, ::-1]]), np.concatenate([guide, guide[..., ::-1]])
        )
        return (both[: len(image)] + both[len(image) :, :, ::-1]) / 2
