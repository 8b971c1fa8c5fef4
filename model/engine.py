"""Inference engines: one interface over torch (CUDA, CPU) and OpenVINO (CPU)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import nn


class Engine(Protocol):
    """Runs one network at one input size.

    Attributes:
        size: side S of the square input in pixels.
        device: what it runs on, for people to read.
    """

    size: int
    device: str

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """BxSxSx3 uint8 RGB and Bx3xSxS float32 guide in 0..1 -> BxSxS float32 probabilities."""
        ...


class TorchEngine:
    """The network in torch; on CUDA in bfloat16 with channels last."""

    def __init__(self, network: nn.Module, size: int, device: str = "cpu") -> None:
        self.size, self.device = size, device
        self._network = network.eval().to(device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        pixels = torch.from_numpy(image).to(self.device).permute(0, 3, 1, 2).float() / 255
        marks = torch.from_numpy(guide).to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.startswith("cuda")):
            logits = self._network(pixels, marks)
        return torch.sigmoid(logits[:, 0].float()).cpu().numpy()


def create_engine(network: nn.Module, size: int, device: str = "auto") -> Engine:
    """Choose the engine: CUDA if there is one, else the CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return TorchEngine(network, size, device)
