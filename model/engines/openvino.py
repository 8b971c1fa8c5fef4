"""OpenVINO on the CPU, with a cache of converted and compiled models on disk."""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model import networks
from model.cores import cores, quota
from model.engines import base
from model.engines.base import EngineError, Probability
from model.engines.disk_cache import DiskCache

MODEL = "model.xml"  # its weights are beside it, in model.bin
SOURCES = (*sorted(Path(networks.__file__).parent.glob("*.py")), Path(base.__file__))  # what is converted

logger = logging.getLogger(__name__)

_the_core: Any = None
_making = threading.Lock()


class OpenVINOEngine:
    """Run the network through OpenVINO, converted from torch without ONNX; items of a batch run one by one.

    Args:
        cache_dir: where converted and compiled models are kept, see `DiskCache`; making them takes seconds, loading
            them a fraction of one.
        threads: CPU threads in all; 0 lets OpenVINO choose, within the quota of this process (`model.cores`).
        precision: one of `PRECISIONS`; "auto" is twice as fast on CPUs with AMX.
        streams: inferences that run at once and share the threads, for several callers that have many questions.

    Raises:
        EngineError: it cannot compile the network for this CPU, as for some without AVX.
    """

    def __init__(
        self,
        network: nn.Module,
        size: int,
        cache_dir: Path | None = None,
        threads: int = 0,
        precision: str = "float32",
        streams: int = 1,
    ) -> None:
        core = _core()
        # pinned threads of several processes would all sit on the first cores, however many there are
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        if precision == "float32":  # without a hint OpenVINO takes what the CPU computes in natively
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        if streams > 1:
            settings["NUM_STREAMS"] = streams
        if threads or quota() is not None:
            settings["INFERENCE_NUM_THREADS"] = threads or cores()
        cached = None if cache_dir is None else _from_cache(core, network, size, cache_dir, settings)
        self._compiled = cached or _compiled(core, _converted(network, size), settings)
        kind = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.size, self.device = size, f"cpu (OpenVINO, {kind})"
        self._local = threading.local()

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        request, answer = self._local.request, np.empty((len(image), self.size, self.size), np.float32)
        for place, item, marks in zip(answer, image, guide, strict=True):
            inputs = {0: np.ascontiguousarray(item[None]), 1: np.ascontiguousarray(marks[None])}
            found = request.infer(inputs, share_inputs=True, share_outputs=True)
            place[:] = found[0][0]  # the only copy
        return answer


def _core() -> Any:
    """Return the Core of this process, which is kept until its end.

    Each Core gives the thread that makes it a stack for signals of its own, and frees it at its end. Where several
    do not end in reverse order, a thread is left with a stack that is gone, and its next signal kills the process.
    """
    global _the_core
    with _making:
        if _the_core is None:
            _the_core = _openvino().Core()
        return _the_core


def _openvino() -> Any:
    """Import OpenVINO without its telemetry.

    That would post to an analytics host at every start and leave a folder `intel` in the home folder. It has no
    switch; without its package, OpenVINO takes a stub of its own.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _from_cache(core: Any, network: nn.Module, size: int, cache_dir: Path, settings: dict[str, Any]) -> Any:
    """Compile what is in the cache, converted now or before; None where the cache cannot be used."""
    openvino, cache, fresh = _openvino(), DiskCache(cache_dir), list[Path]()
    name = f"{_digest(network)}-{size}-{openvino.__version__.split('-')[0]}"

    def convert(folder: Path) -> None:
        fresh.append(folder)
        model = _converted(network, size)
        try:
            openvino.save_model(model, folder / MODEL, compress_to_fp16=False)
        except RuntimeError as error:  # as of a full disk
            raise OSError(_last_line(error)) from error

    for _ in range(2):  # once more where a file is damaged, as by a full disk
        try:
            folder = cache.folder(name, convert)
        except OSError as error:
            logger.warning("%s cannot be written (%s): models are converted at every start", cache_dir, error)
            return None
        try:  # cold and warm run the very same model: the one that was read back
            return _compiled(core, core.read_model(folder / MODEL), {**settings, "CACHE_DIR": str(folder)})
        except RuntimeError as error:
            cache.drop(name)
            if fresh and isinstance(error, EngineError):  # no file is to blame
                raise
            logger.warning("%s is damaged and made anew: %s", folder, _last_line(error))
    return None


def _compiled(core: Any, model: Any, settings: dict[str, Any]) -> Any:
    """Compile a model; raises as `OpenVINOEngine` does."""
    try:
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise EngineError(
            f"OpenVINO cannot compile the network for this CPU ({_last_line(error)}): set CLICKMASK_DEVICE=cpu"
        ) from error


def _converted(network: nn.Module, size: int) -> Any:
    """Convert the network for inputs of one size."""
    example = (torch.zeros(1, size, size, 3, dtype=torch.uint8), torch.zeros(1, 3, size, size))
    with torch.inference_mode(), warnings.catch_warnings():
        # what tracing takes for fixed is fixed: the input's size
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # tracing is what OpenVINO converts from
        # Traced here, because OpenVINO traces with checks and hooks that take six times as long.
        traced = torch.jit.trace(Probability(network).eval(), example, check_trace=False)
        model = _openvino().convert_model(traced, example_input=example)
    model.reshape({0: [1, size, size, 3], 1: [1, 3, size, size]})
    return model


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _digest(network: nn.Module) -> str:
    """Name structure, code and weights by sixteen hex digits; another release may compute otherwise with the same."""
    digest = hashlib.sha256(str(network).encode())
    for source in SOURCES:
        digest.update(source.read_bytes())
    # not the state, which lacks buffers that no file holds, such as the mean that is subtracted
    for value in (*network.parameters(), *network.buffers()):
        digest.update(value.detach().cpu().contiguous().numpy().reshape(-1).view(np.uint8).data)  # no copy
    return digest.hexdigest()[:16]
