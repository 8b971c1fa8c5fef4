"""Choose the engine for a device: torch on CUDA, OpenVINO or torch on the CPU.

The engines give the same mask within a small tolerance (tests/model/engines states it); every engine gives the same
bytes for the same input again.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import nn

from model.engines.base import PRECISIONS, Engine, EngineError
from model.engines.cuda import CudaEngine
from model.engines.openvino import OpenVINOEngine
from model.engines.torch_cpu import TorchEngine
from model.networks import SIZE_STEP

DEVICES = ("auto", "cpu", "cuda", "openvino")
NVIDIA = Path("/dev/nvidia0")  # there where a driver for a GPU is loaded, or a container is given one

logger = logging.getLogger(__name__)


def create_engine(
    network: nn.Module,
    size: int,
    device: str = "auto",
    cache_dir: Path | None = None,
    threads: int = 0,
    precision: str = "float32",
    batch: int = 1,
    graphs: bool = True,
    streams: int = 1,
) -> Engine:
    """Choose the engine.

    Args:
        network: in evaluation mode or not; engines switch it.
        size: side of the square input, a multiple of 32.
        device: one of `DEVICES`; "auto" is CUDA where a GPU can be used, else OpenVINO where that can, else torch on
            the CPU; "cpu" is torch.
        cache_dir, threads, streams: see `OpenVINOEngine`.
        precision: one of `PRECISIONS`. "auto" for answers that are waited for; "float32" for figures that every
            machine reproduces. Either gives the same bytes for the same input again on one machine.
        batch, graphs: see `CudaEngine`.

    Raises:
        ValueError: unknown device or precision, or a size that is no multiple of 32.
        EngineError: the device that was named cannot be used now.
    """
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r}: use one of {', '.join(DEVICES)}")
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}: use one of {', '.join(PRECISIONS)}")
    if size <= 0 or size % SIZE_STEP:
        raise ValueError(f"input size {size}: must be a multiple of {SIZE_STEP}")
    if device == "cuda":
        return CudaEngine(network, size, precision=precision, batch=batch, graphs=graphs)
    if device == "cpu":
        return TorchEngine(network, size)
    if device == "auto" and _has_gpu():
        try:
            return CudaEngine(network, size, precision=precision, batch=batch, graphs=graphs)
        except EngineError as error:
            logger.warning("%s; the CPU is used instead", error)
    try:
        return OpenVINOEngine(network, size, cache_dir, threads, precision, streams)
    except ImportError:
        if device == "openvino":
            raise ValueError("device 'openvino' needs the package openvino: pip install openvino") from None
        logger.warning("OpenVINO is not installed: torch on the CPU is about three times slower")
    except EngineError as error:
        if device == "openvino":
            raise
        logger.warning("%s; torch is used instead, about three times slower", error)
    return TorchEngine(network, size)


def _has_gpu() -> bool:
    """Tell whether there is an NVIDIA GPU, be it one that torch cannot use."""
    return torch.cuda.is_available() or (torch.version.cuda is not None and NVIDIA.exists())
