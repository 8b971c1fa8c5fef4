"""What an inference engine is: one network at one input size, from raw pixels to probabilities."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from model.errors import ClickmaskError

PRECISIONS = ("auto", "float32")  # auto is half precision where the hardware computes in it


class EngineError(ClickmaskError, RuntimeError):
    """The device cannot be used now; the message says why and what to do. Trying again later may help."""


class Engine(Protocol):
    """Run one network at one input size; safe to call from several threads.

    Attributes:
        size: side S of the square input in pixels.
        device: what it runs on, for people to read.
    """

    size: int
    device: str

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """Compute BxSxS float32 probabilities from BxSxSx3 uint8 RGB and a Bx3xSxS float32 guide in 0..1."""
        ...


class Probability(nn.Module):
    """Wrap a network from raw pixels to probabilities, so that an engine carries no arithmetic of its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """Compute BxSxS float32 probabilities from BxSxSx3 uint8 pixels and a Bx3xSxS float32 guide."""
        pixels = image.permute(0, 3, 1, 2).float() / 255
        return torch.sigmoid(self.network(pixels, guide)[:, 0].float())
