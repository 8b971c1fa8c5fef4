"""Measures how much a network computes, how fast, and how fast this machine can: a plain matrix product."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from backend.settings import Settings
from model.engines.factory import create_engine
from model.engines.flip import Mirrored
from model.inference.config import InferenceConfig
from model.networks import build
from model.versions import checkpoint
from model.versions.checkpoint import LOOKS
from model.versions.registry import Registry

RUNS = 30
SIDE = 2048  # of the matrices
HALF = ("bf16", "bfloat16", "float16", "half")  # in an engine's name


@dataclass(frozen=True)
class Pass:
    """One pass of a network.

    Attributes:
        size: side of the input in pixels.
        multiply_adds: of the pass, the mirror image's included where the network is shown that, too.
        seconds: median time of a pass.
    """

    size: int
    multiply_adds: float
    seconds: float

    @property
    def gflops(self) -> float:
        """Return what is achieved: 10**9 floating-point operations per second; a multiply-add is two."""
        return 2 * self.multiply_adds / self.seconds / 1e9


@dataclass(frozen=True)
class NetworkLimits:
    """What was measured.

    Attributes:
        version, network, device: what ran, and on what.
        passes: one for each input size that clicks use.
        precision: what it computes in: float32 or bfloat16.
        product: GFLOP/s of a product of two SIDExSIDE matrices in it.
    """

    version: str
    network: str
    device: str
    passes: tuple[Pass, ...]
    precision: str
    product: float


def network_limits(settings: Settings) -> NetworkLimits:
    """Measure the served base model, with the engine and the threads that the settings choose."""
    registry = Registry(settings.home, settings.registry)
    version = registry.ensure_base()
    network, card = checkpoint.load(version.path)
    config = InferenceConfig.of(card)
    if config.flip:
        network = Mirrored(network)
    sizes = {card[key] for key in ("size", *LOOKS) if key in card} | {config.large_size or card["size"]}
    passes, device = [], ""
    for size in sorted(sizes):
        work = _multiply_adds(card["architecture"], config.flip, size)
        engine = create_engine(
            network, size, settings.device, settings.home / "engines", settings.threads, settings.precision
        )
        device = engine.device
        image, guide = np.zeros((1, size, size, 3), np.uint8), np.zeros((1, 3, size, size), np.float32)
        passes.append(Pass(size, work, _median(partial(engine.run, image, guide))))
    name = card["architecture"]["name"]
    precision = "bfloat16" if any(half in device for half in HALF) else "float32"
    product = _product(settings, device, precision)
    return NetworkLimits(version.name, name, device, tuple(passes), precision, product)


def _multiply_adds(architecture: Mapping[str, Any], flip: bool, size: int) -> float:
    """Count the multiply-adds of convolutions and products in a pass of one SxS input.

    Nothing is computed: CPUs attend with an operation that is not counted.
    """
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad():
        network = build(architecture["name"], **architecture["params"]).eval()
        with counter:
            network(torch.zeros(1, 3, size, size), torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2 * (2 if flip else 1)


def _product(settings: Settings, device: str, precision: str) -> float:
    """Measure a product in one precision alone: torch takes minutes for bfloat16 where the CPU does without."""
    place = "cuda" if "cuda" in device else "cpu"
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads or before)
    matrix = torch.rand(SIDE, SIDE, device=place).to(getattr(torch, precision))

    def product() -> None:
        matrix @ matrix
        if place == "cuda":
            torch.cuda.synchronize()

    try:
        return 2 * SIDE**3 / _median(product) / 1e9
    finally:
        torch.set_num_threads(before)


def _median(run: Callable[[], object]) -> float:
    """Return the median seconds of RUNS runs; some before do not count."""
    for _ in range(3):
        run()
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)
