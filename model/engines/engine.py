"""Inference engines: one interface over torch (CUDA, CPU) and OpenVINO (CPU).

The engines give the same mask within a small tolerance (tests/model/test_engine.py states it); every engine
gives the same bytes for the same input again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

DEVICES = ("auto", "cpu", "cuda", "openvino")
PRECISIONS = ("auto", "float32")  # auto is bfloat16 where the hardware computes in it
CUDA_BATCHES = (1, 2, 4, 8, 16)  # batch sizes with a captured graph; other sizes are padded to the next

_CAPTURING = threading.Lock()  # a capture fails where another thread allocates on the GPU

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Runs one network at one input size; safe to call from several threads.

    Attributes:
        size: side S of the square input in pixels.
        device: what it runs on, for people to read.
    """

    size: int
    device: str

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """BxSxSx3 uint8 RGB and Bx3xSxS float32 guide in 0..1 -> BxSxS float32 probabilities."""
        ...


class _Probability(nn.Module):
    """The network from raw pixels to probabilities, so that an engine carries no arithmetic of its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """BxSxSx3 uint8, Bx3xSxS float32 -> BxSxS float32."""
        pixels = image.permute(0, 3, 1, 2).float() / 255
        return torch.sigmoid(self.network(pixels, guide)[:, 0].float())


class TorchEngine:
    """The network in torch on the CPU, float32: the reference the other engines are compared with."""

    def __init__(self, network: nn.Module, size: int) -> None:
        self.size, self.device = size, "cpu (torch)"
        self._model = _Probability(network).eval()

    @torch.inference_mode()
    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        return self._model(torch.from_numpy(image), torch.from_numpy(guide)).numpy()


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
            model = _Probability(network).eval().to(self._where)
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


class OpenVINOEngine:
    """The network on a CPU through OpenVINO, converted from torch without ONNX; items of a batch run one by one.

    Args:
        cache_dir: where the compiled model is kept; compiling takes seconds, loading it a fraction of one.
        threads: CPU threads per inference; 0 lets OpenVINO choose.
        precision: one of `PRECISIONS`; "auto" is twice as fast on CPUs with AMX.
    """

    def __init__(
        self,
        network: nn.Module,
        size: int,
        cache_dir: Path | None = None,
        threads: int = 0,
        precision: str = "float32",
    ) -> None:
        import openvino

        core = openvino.Core()
        converted = _converted(core, network, size, cache_dir)
        # pinned threads of several processes would all sit on the first cores, however many there are
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        if precision == "float32":  # without a hint OpenVINO takes what the CPU computes in natively
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        if cache_dir is not None:
            settings["CACHE_DIR"] = str(cache_dir)
        self._compiled = core.compile_model(converted, "CPU", settings)
        kind = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.size, self.device = size, f"cpu (OpenVINO, {kind})"
        self._local = threading.local()

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        outputs = [
            next(iter(self._local.request.infer({0: i[None], 1: g[None]}).values())).copy()
            for i, g in zip(image, guide, strict=True)
        ]
        return np.concatenate(outputs)


def _converted(core: Any, network: nn.Module, size: int, cache_dir: Path | None) -> Any:
    """The network as an OpenVINO model, from the cache where the same weights were converted before."""
    import openvino

    path = None
    if cache_dir is not None:
        path = cache_dir / f"{_digest(network)}-{size}-{openvino.__version__.split('-')[0]}.xml"
        if path.exists():
            return core.read_model(path)
    example = (torch.zeros(1, size, size, 3, dtype=torch.uint8), torch.zeros(1, 3, size, size))
    with torch.inference_mode():
        model = openvino.convert_model(_Probability(network).eval(), example_input=example)
    model.reshape({0: [1, size, size, 3], 1: [1, 3, size, size]})
    if path is None:
        return model
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(model, Path(folder) / path.name, compress_to_fp16=False)
        os.replace((Path(folder) / path.name).with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(Path(folder) / path.name, path)  # last: readers look for the .xml
    return core.read_model(path)  # cold and warm run the very same model


def _digest(network: nn.Module) -> str:
    """Sixteen hex digits that name structure and weights."""
    digest = hashlib.sha256(str(network).encode())
    for value in network.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def create_engine(
    network: nn.Module,
    size: int,
    device: str = "auto",
    cache_dir: Path | None = None,
    threads: int = 0,
    precision: str = "float32",
) -> Engine:
    """Choose the engine.

    Args:
        network: in evaluation mode or not; engines switch it.
        size: side of the square input, a multiple of 32.
        device: one of `DEVICES`; "auto" is CUDA where there is a GPU, else OpenVINO, else torch on the CPU;
            "cpu" is torch.
        cache_dir, threads: see `OpenVINOEngine`.
        precision: one of `PRECISIONS`. "auto" for answers that are waited for; "float32" for figures that every
            machine reproduces. Either gives the same bytes for the same input again on one machine.

    Raises:
        ValueError: unknown device or precision, or a size that is no multiple of 32.
    """
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r}: use one of {', '.join(DEVICES)}")
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}: use one of {', '.join(PRECISIONS)}")
    if size <= 0 or size % 32:
        raise ValueError(f"input size {size}: must be a multiple of 32")
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        return CudaEngine(network, size, precision=precision)
    if device == "cpu":
        return TorchEngine(network, size)
    try:
        return OpenVINOEngine(network, size, cache_dir, threads, precision)
    except ImportError:
        if device == "openvino":
            raise ValueError("device 'openvino' needs the package openvino: pip install openvino") from None
        log.warning("OpenVINO is not installed: torch on the CPU is about three times slower")
        return TorchEngine(network, size)
