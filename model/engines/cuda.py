"""Torch on an NVIDIA GPU: the frozen network, captured once as a CUDA graph of one batch size.

What holds byte for byte: every answer of an engine is computed by the kernels of one graph, for one fixed batch size.
Fewer images are padded to it, more are run in several passes. So an answer does not depend on what else was asked in
the same moment, nor on whether it is a first answer or a replay. That kernels treat all places of a batch alike is
shown by tests/gpu, for the GPU that it runs on. Another GPU, driver, cuDNN or torch may give other bytes, and so do
another batch size and `graphs=False`, which runs each batch as it comes.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.engines.base import EngineError
from model.engines.frozen_network import freeze

WARM_UPS = 3  # passes in which kernels and workspaces are chosen; a capture must not do that
LARGEST = 16  # images in one pass of an engine without graphs

logger = logging.getLogger(__name__)

_LOADING = threading.Lock()  # one engine is made at a time: captures of several threads would fail each other


class _Gpu:
    """What the engines on one GPU share.

    Attributes:
        device: the GPU, which must be the current one.
        stream: all of them work on it.
        lock: held from copying in to copying out, and for a capture.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.lock = threading.Lock()
        # One graph runs at a time, so all of them can share the memory of their intermediate values. A pool that has
        # lost its last graph cannot be captured into again: this small one stays.
        self._pool = torch.cuda.graph_pool_handle()
        self._anchor = self.capture(lambda: torch.zeros(1, device=device))

    def capture(self, run: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """Capture what `run` does on the GPU, into the shared memory; return the graph and its result."""
        with torch.inference_mode():
            self.stream.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(self.stream):
                for _ in range(WARM_UPS):
                    run()
            self.stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Others may use the GPU meanwhile, but none of our engines: they wait for the lock.
            with (
                self.lock,
                torch.cuda.graph(graph, self._pool, self.stream, capture_error_mode="thread_local"),
            ):
                result = run()
        return graph, result


# For as long as there are engines: their memory goes with the last of them.
_gpus: weakref.WeakValueDictionary[torch.device, _Gpu] = weakref.WeakValueDictionary()

# Frozen copies in use, by the network they were made of, and by device, precision and state of the weights.
_copies: weakref.WeakKeyDictionary[nn.Module, weakref.WeakValueDictionary[Any, nn.Module]]
_copies = weakref.WeakKeyDictionary()


class CudaEngine:
    """Run the network on a GPU, in half precision or in float32 without TF32.

    Args:
        network: see `model.networks`; it stays where it is, the engine works with a frozen copy.
        size: side of the square input in pixels.
        device: "cuda" for the current GPU, or "cuda:<number>".
        precision: one of `PRECISIONS`; "auto" is bfloat16 where the GPU computes in it (compute capability 8.0 or
            newer), else float16.
        batch: images in one pass, see the module's text on what depends on it.
        graphs: False for engines that live shortly, as those of an evaluation: captures take time and memory.

    Raises:
        EngineError: there is no GPU that can be used, or not enough memory on it.
    """

    def __init__(
        self,
        network: nn.Module,
        size: int,
        device: str = "cuda",
        precision: str = "float32",
        batch: int = 1,
        graphs: bool = True,
    ) -> None:
        if not torch.cuda.is_available():
            raise EngineError(f"device {device!r} cannot be used: {why_unavailable()}")
        self.size, self._batch = size, batch if graphs else LARGEST
        try:
            with _LOADING:
                where = _numbered(torch.device(device))
                with torch.cuda.device(where), _without_tf32():
                    self._gpu = _shared(where)
                    dtype, self._model = self._frozen(network, precision)
                    torch.cuda.synchronize(where)  # the copy was made on another stream than it is used on
                    self._graph = _Graph(self._gpu, self._model, batch, size) if graphs else None
        except RuntimeError as error:  # of CUDA, out of memory among them
            raise EngineError(f"device {device!r} cannot be used: {_first_line(error)}") from error
        name = torch.cuda.get_device_name(self._gpu.device)
        self.device = f"{device} ({name}, {str(dtype).removeprefix('torch.')})"

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        step = self._batch
        parts = [self._run(image[i : i + step], guide[i : i + step]) for i in range(0, len(image), step)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        with self._gpu.lock, torch.cuda.device(self._gpu.device), torch.inference_mode():
            if self._graph is not None:
                return self._graph.run(image, guide)
            with torch.cuda.stream(self._gpu.stream), _without_tf32():
                inputs = (torch.from_numpy(array).to(self._gpu.device) for array in (image, guide))
                return self._model(*inputs).cpu().numpy()

    def _frozen(self, network: nn.Module, precision: str) -> tuple[torch.dtype, nn.Module]:
        """Copy the network to the GPU; float32 instead of a half precision in which it overflows."""
        dtype = torch.float32 if precision == "float32" else half_dtype()
        model = _copy_of(network, self.size, self._gpu.device, dtype)
        if dtype == torch.float16 and not self._is_finite(model):
            logger.warning("the network overflows in float16: it runs in float32, which takes longer")
            dtype = torch.float32
            model = _copy_of(network, self.size, self._gpu.device, dtype)
        return dtype, model

    def _is_finite(self, model: nn.Module) -> bool:
        noise = np.random.default_rng(0).integers(0, 256, (1, self.size, self.size, 3), dtype=np.uint8)
        guide = torch.zeros(1, 3, self.size, self.size, device=self._gpu.device)
        with torch.inference_mode():
            return bool(torch.isfinite(model(torch.from_numpy(noise).to(self._gpu.device), guide)).all())


class _Graph:
    """One captured pass for a fixed batch size; the caller of `run` holds the lock of the GPU."""

    def __init__(self, gpu: _Gpu, model: nn.Module, batch: int, size: int) -> None:
        self._gpu = gpu
        shapes = ((batch, size, size, 3), torch.uint8), ((batch, 3, size, size), torch.float32)
        self._pinned = [torch.zeros(shape, dtype=kind, pin_memory=True) for shape, kind in shapes]
        self._inputs = [torch.zeros(shape, dtype=kind, device=gpu.device) for shape, kind in shapes]
        self._answer = torch.zeros((batch, size, size), pin_memory=True)
        self._graph, self._output = gpu.capture(lambda: model(*self._inputs))

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """Answer at most `batch` images; the other places of the batch keep what they held before."""
        count = len(image)
        with torch.cuda.stream(self._gpu.stream):
            for pinned, fixed, array in zip(self._pinned, self._inputs, (image, guide), strict=True):
                pinned[:count].copy_(torch.from_numpy(array))
                fixed.copy_(pinned, non_blocking=True)
            self._graph.replay()
            self._answer.copy_(self._output, non_blocking=True)
            self._gpu.stream.synchronize()
        return self._answer[:count].numpy().copy()


def _copy_of(network: nn.Module, size: int, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Return the frozen copy that the engines of one network share, whatever their input sizes; made where there is
    none, or where the weights were changed since. The caller holds `_LOADING`."""
    tensors = network.state_dict().values()
    state = tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors)
    known = _copies.setdefault(network, weakref.WeakValueDictionary())
    model = known.get((device, dtype, state))
    if model is None:
        model = known[device, dtype, state] = freeze(network, size, device, dtype)
    return model


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Let float32 be float32: by default cuDNN multiplies it in TF32, with eleven significant bits instead of 24."""
    places = torch.backends.cudnn.conv, torch.backends.cuda.matmul  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value


def half_dtype() -> torch.dtype:
    """Choose the half precision that the current GPU computes in: bfloat16, or float16 before Ampere, where
    bfloat16 is emulated and has no convolutions."""
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def why_unavailable() -> str:
    """Say why torch finds no GPU, and what to do."""
    if torch.version.cuda is None:
        return "this torch is built without CUDA: install the one of PyPI, or set the device to 'auto'"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # no driver, one that is too old, no device
        return f"{_first_line(error)}: check `nvidia-smi`, or set the device to 'auto'"
    return "there is no GPU: set the device to 'auto'"


def _numbered(device: torch.device) -> torch.device:
    """Give "cuda" the number of the current GPU."""
    return torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)


def _shared(device: torch.device) -> _Gpu:
    """Return what the engines on a GPU, the current one, share; the caller holds `_LOADING`."""
    gpu = _gpus.get(device)
    if gpu is None:
        gpu = _gpus[device] = _Gpu(device)
    return gpu


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
