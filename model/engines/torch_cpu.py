"""Torch on the CPU: the reference that the other engines are compared with."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from model.engines.base import Probability


class TorchEngine:
    """Run the network in torch on the CPU in float32."""

    def __init__(self, network: nn.Module, size: int) -> None:
        self.size, self.device = size, "cpu (torch)"
        self._model = Probability(network).eval()

    @torch.inference_mode()
    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        return self._model(torch.from_numpy(image), torch.from_numpy(guide)).numpy()
