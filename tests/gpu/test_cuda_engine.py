"""The CUDA engine: what it answers, what holds byte for byte, and what it keeps on the GPU."""

import gc
import hashlib
import itertools
import logging
import statistics
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from model.engines import cuda
from model.engines.base import EngineError
from model.engines.cuda import CudaEngine
from model.engines.factory import create_engine
from model.engines.flip import Mirrored
from model.engines.torch_cpu import TorchEngine
from model.networks import build
from tests.gpu.conftest import SIZE
from tests.model.official_checkpoints import weights_of

TOLERANCE = {"float32": 2e-4, "auto": 0.05}  # of a probability
PRECISIONS = tuple(TOLERANCE)
LIBRARIES = 64 << 20  # bytes that cuBLAS keeps for itself once it was used on a stream


@pytest.fixture(scope="module")
def expected(network, inputs):
    return TorchEngine(network, SIZE).run(*inputs)


def free() -> tuple[int, int]:
    """Bytes in use and reserved, once everything that is not needed is gone."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated(), torch.cuda.memory_reserved()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("batch", "graphs"), [(1, True), (4, True), (1, False)])
def test_it_answers_as_torch_on_the_cpu(network, inputs, expected, precision, batch, graphs):
    engine = CudaEngine(network, SIZE, precision=precision, batch=batch, graphs=graphs)
    answer = engine.run(*inputs)
    assert answer.dtype == np.float32
    assert np.abs(answer - expected).max() < TOLERANCE[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_transformer_that_sees_the_mirror_image_answers_as_torch_on_the_cpu(precision):
    network, rng = build("simpleclick-xtiny").eval(), np.random.default_rng(0)
    network.load_state_dict(weights_of(network))
    image = rng.integers(0, 256, (2, 448, 448, 3), dtype=np.uint8)
    guide = (rng.random((2, 3, 448, 448)) > 0.99).astype(np.float32)
    wanted = TorchEngine(Mirrored(network), 448).run(image, guide)
    answer = CudaEngine(Mirrored(network), 448, precision=precision).run(image, guide)
    assert np.abs(answer - wanted).max() < TOLERANCE[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [SIZE, 256])
def test_an_answer_does_not_depend_on_its_company(network, inputs, precision, batch, size):
    images, guides = inputs[0][:, :size, :size].copy(), inputs[1][..., :size, :size].copy()
    engine = CudaEngine(network, size, precision=precision, batch=batch)
    alone = np.concatenate([engine.run(images[i : i + 1], guides[i : i + 1]) for i in range(len(images))])
    rng = np.random.default_rng(1)
    for count in (2, 3, batch, batch + 1, len(images)):
        for _ in range(5):
            chosen = rng.permutation(len(images))[:count]
            np.testing.assert_array_equal(engine.run(images[chosen], guides[chosen]), alone[chosen])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_another_engine_of_the_same_weights_gives_the_same_bytes(network, inputs, precision):
    answers = []
    for _ in range(2):
        engine = CudaEngine(network, SIZE, precision=precision, batch=4)
        answers.append(engine.run(*inputs))
        del engine
        free()
    np.testing.assert_array_equal(*answers)


DIGEST = """
import hashlib
import numpy as np
from model.engines.cuda import CudaEngine
from model.versions import checkpoint
from model.versions.registry import PACKAGED
rng = np.random.default_rng(0)
image = rng.integers(0, 256, (3, 384, 384, 3), dtype=np.uint8)
guide = (rng.random((3, 3, 384, 384)) > 0.99).astype(np.float32)
engine = CudaEngine(checkpoint.load(PACKAGED)[0], 384, precision="auto", batch=4)
print(hashlib.sha256(engine.run(image, guide).tobytes()).hexdigest())
"""


def test_a_process_that_starts_anew_gives_the_same_bytes():
    command = [sys.executable, "-c", DIGEST]
    found = {subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)}
    assert len(found) == 1
    assert len(found.pop().strip()) == len(hashlib.sha256().hexdigest())


def test_the_callers_network_stays_where_and_as_it_is(untrained):
    untrained.train()
    before = {key: value.clone() for key, value in untrained.state_dict().items()}
    CudaEngine(untrained, 96, precision="auto")
    assert untrained.training
    assert all(p.device.type == "cpu" and p.requires_grad for p in untrained.parameters())
    assert all((before[key] == value).all() for key, value in untrained.state_dict().items())
    untrained.eval()


def test_the_half_precision_is_native(network):
    major, _ = torch.cuda.get_device_capability()
    assert ("bfloat16" if major >= 8 else "float16") in CudaEngine(network, 96, precision="auto").device
    assert "float32" in CudaEngine(network, 96).device


def test_float32_is_not_tf32(network, inputs, expected):
    flags = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = [flag.fp32_precision for flag in flags]
    engine = CudaEngine(network, SIZE)
    assert [flag.fp32_precision for flag in flags] == before
    off = np.abs(engine.run(*inputs) - expected).max()
    assert off < 1e-4, "rounding of float32 is far below that of TF32"


def test_nothing_is_captured_inside_requests(network, inputs, monkeypatch):
    engine = CudaEngine(network, SIZE, precision="auto", batch=4)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", None)  # a capture would stumble
    for count in range(1, len(inputs[0]) + 1):
        assert len(engine.run(inputs[0][:count], inputs[1][:count])) == count


def test_all_graphs_share_one_memory_and_give_it_back(network):
    start = free()
    engines = [CudaEngine(network, SIZE, precision="auto", batch=8)]
    one = free()
    engines += [CudaEngine(network, size, precision="auto", batch=8) for size in (256, 128, 96)]
    all_of_them = free()
    first, rest = one[1] - start[1], all_of_them[1] - one[1]
    assert rest < 0.5 * first, (
        f"the first engine reserves {first >> 20} MiB, three smaller ones {rest >> 20} more"
    )
    engines.clear()
    assert free()[1] <= start[1] + LIBRARIES
    CudaEngine(network, 96, precision="auto")  # a pool whose graphs are gone must not be captured into


def test_the_engines_of_a_network_share_its_weights(network):
    one, other = (CudaEngine(network, size, precision="auto") for size in (SIZE, 256))
    assert one._model is other._model


def test_without_graphs_nothing_stays_reserved(network, inputs):
    start = free()
    engine = CudaEngine(network, SIZE, precision="auto", graphs=False)
    engine.run(*inputs)
    weights = sum(p.numel() * p.element_size() for p in engine._model.parameters())
    assert free()[0] - start[0] < 2 * weights + LIBRARIES


@pytest.mark.parametrize("precision", PRECISIONS)
def test_many_threads_and_a_model_that_is_loaded_meanwhile(network, untrained, inputs, precision):
    engines = [CudaEngine(network, size, precision=precision, batch=4) for size in (SIZE, 256)]
    cut = {
        e.size: (inputs[0][:, : e.size, : e.size].copy(), inputs[1][..., : e.size, : e.size].copy())
        for e in engines
    }
    alone = {e.size: e.run(*cut[e.size]) for e in engines}
    wrong, stop = [], threading.Event()

    def click(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            engine = engines[int(rng.integers(2))]
            chosen = rng.permutation(len(inputs[0]))[: int(rng.integers(1, 7))]
            images, guides = (array[chosen] for array in cut[engine.size])
            if not np.array_equal(engine.run(images, guides), alone[engine.size][chosen]):
                wrong.append(chosen)

    threads = [threading.Thread(target=click, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(5):  # as when a project's model is exchanged
        CudaEngine(untrained, SIZE, precision=precision, batch=4).run(*inputs)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_auto_takes_the_cpu_where_the_memory_is_full(untrained, caplog):
    free()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        with pytest.raises(EngineError, match="device 'cuda' cannot be used.*memory"):
            create_engine(untrained, SIZE, "cuda")
        with caplog.at_level(logging.WARNING):
            assert create_engine(untrained, SIZE, "auto").device.startswith("cpu")
        assert "the CPU is used instead" in caplog.text
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert create_engine(untrained, SIZE, "auto").device.startswith("cuda")


def test_a_network_that_overflows_in_float16_runs_in_float32(untrained, monkeypatch, caplog):
    monkeypatch.setattr(cuda, "half_dtype", lambda: torch.float16)
    with torch.no_grad():
        untrained.head.weight.mul_(1e8)
    try:
        with caplog.at_level(logging.WARNING):
            engine = CudaEngine(untrained, 96, precision="auto")
    finally:
        with torch.no_grad():
            untrained.head.weight.mul_(1e-8)
    assert "float32" in engine.device
    assert "overflows" in caplog.text


def test_figures(network, inputs, capsys):
    """Times are for the docs and nothing is demanded of them; the answers they are of must be right."""
    rows = []
    wanted = {size: TorchEngine(network, size).run(*_cut(inputs, size)) for size in (SIZE, 256)}
    for precision, batch, size in itertools.product(PRECISIONS, (1, 4, 8), (SIZE, 256)):
        started = time.perf_counter()
        engine = CudaEngine(network, size, precision=precision, batch=batch)
        loaded = time.perf_counter() - started
        image, guide = (part[:batch] for part in _cut(inputs, size))
        assert np.abs(engine.run(image, guide) - wanted[size][:batch]).max() < TOLERANCE[precision]
        times = []
        for _ in range(50):
            started = time.perf_counter()
            engine.run(image, guide)
            times.append(1000 * (time.perf_counter() - started))
        middle = statistics.median(times)
        rows.append(
            f"{precision:8} batch {batch} at {size}: load {loaded:.2f} s, pass p50 {middle:.2f} ms, "
            f"{middle / batch:.2f} ms an image"
        )
    assert len(rows) == 12
    with capsys.disabled():
        print(
            f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
        )
        print("\n".join(rows))


def _cut(inputs: tuple[np.ndarray, np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    """The upper left corner of images and guides."""
    return inputs[0][:, :size, :size].copy(), inputs[1][..., :size, :size].copy()
