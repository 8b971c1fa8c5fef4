"""Torch on an NVIDIA GPU, replayed as CUDA graphs."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor, nn

from model.engines.base import Probability

CUDA_BATCHES = (1, 2, 4, 8, 16)  # batch sizes with a captured graph; other sizes are padded to the next

_CAPTURING = threading.Lock()  # a capture fails where another thread allocates on the GPU


class CudaEngine:
    """The network on a GPU: channels last, one CUDA graph per batch size.

    A batch is padded to the next captured size, so a request is computed by few, fixed kernels.
    """

    def __init__(
        self, network: nn.Module, size: int, device: str = "cuda", precision: str = "float32"
    ) -> None:
        self.size, self.device = size, f"{device} ({torch.cuda.get_device_name(device)})"
        self._half = precision == "auto"
        self._where = torch.device(device)
        with _CAPTURING:
            model = Probability(network).eval().to(self._where)
            self._model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._lock = threading.Lock()
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]] = {}
        for batch in CUDA_BATCHES[:1]:
            self._graphs[batch] = self._capture(batch)

    def _forward(self, image: Tensor, guide: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=self._half):
            return self._model(image, guide)

    def _capture(self, batch: int) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]:
        with _CAPTURING:
            image = torch.zeros((batch, self.size, self.size, 3), dtype=torch.uint8, device=self._where)
            guide = torch.zeros((batch, 3, self.size, self.size), device=self._where)
            stream = torch.cuda.Stream(self._where)
            stream.wait_stream(torch.cuda.current_stream(self._where))
            with torch.cuda.stream(stream):
                for _ in range(3):  # kernels and workspaces must be chosen before the capture
                    self._forward(image, guide)
            torch.cuda.current_stream(self._where).wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                result = self._forward(image, guide)
            return graph, image, guide, result

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        largest = CUDA_BATCHES[-1]
        parts = [
            self._run(image[i : i + largest], guide[i : i + largest]) for i in range(0, len(image), largest)
        ]
        return np.concatenate(parts)

    def _run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        count = len(image)
        batch = next(size for size in CUDA_BATCHES if size >= count)
        with self._lock:  # the graph's buffers are shared
            if batch not in self._graphs:
                self._graphs[batch] = self._capture(batch)
            graph, images, guides, result = self._graphs[batch]
            images[:count].copy_(torch.from_numpy(image))
            guides[:count].copy_(torch.from_numpy(guide))
            graph.replay()
            return result[:count].cpu().numpy()
