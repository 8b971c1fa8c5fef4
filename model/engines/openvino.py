"""OpenVINO on the CPU, with a cache of converted and compiled models on disk."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model.engines.base import Probability


class OpenVINOEngine:
    """Run the network through OpenVINO, converted from torch without ONNX; items of a batch run one by one.

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
        core = _openvino().Core()
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


def _openvino() -> Any:
    """Import OpenVINO without its telemetry.

    That would post to an analytics host at every start and leave a folder `intel` in the home folder. It has no
    switch; without its package, OpenVINO takes a stub of its own.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _converted(core: Any, network: nn.Module, size: int, cache_dir: Path | None) -> Any:
    """Convert the network, or read it from the cache where the same weights were converted before."""
    openvino, path = _openvino(), None
    if cache_dir is not None:
        path = cache_dir / f"{_digest(network)}-{size}-{openvino.__version__.split('-')[0]}.xml"
        if path.exists():
            return core.read_model(path)
    example = (torch.zeros(1, size, size, 3, dtype=torch.uint8), torch.zeros(1, 3, size, size))
    with torch.inference_mode(), warnings.catch_warnings():
        # what tracing takes for fixed is fixed: the input's size
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        model = openvino.convert_model(Probability(network).eval(), example_input=example)
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
    """Name structure and weights by sixteen hex digits."""
    digest = hashlib.sha256(str(network).encode())
    for value in network.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
