"""Test-time augmentation: the mean of the answers for an image and for its mirror image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

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


class Mirrored(nn.Module):
    """Average a network's logits, not its probabilities, for the input and for the mirrored input.

    What `FlipTTA` does to an engine, done to the network itself, as RITM and SimpleClick are evaluated.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """See `model.networks` for the shapes."""
        both = self.network(torch.cat([image, image.flip(3)]), torch.cat([guide, guide.flip(3)]))
        straight, mirrored = both.chunk(2)
        return (straight + mirrored.flip(3)) / 2
