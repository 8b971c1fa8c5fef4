"""The engines compute one function."""

import os
import threading
import time

import numpy as np
import pytest
import torch

from model.engines.engine import PRECISIONS, CudaEngine, TorchEngine, create_engine
from model.networks import build

SIZE = 128  # at 64 pixels the coarsest level has 2x2 places, and OpenVINO is not exact to the last bit there
TOLERANCE = 2e-4  # of a probability; masks of both engines agree except where p is this near to 0.5
HALF_TOLERANCE = 0.05  # of bfloat16, whose numbers have eight significant bits


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = build("lite0-fpn").eval()
    torch.nn.init.normal_(network.head.weight, std=1.0)  # untrained logits are all near zero
    return network


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    guide = (rng.random((3, 3, SIZE, SIZE)) > 0.95).astype(np.float32)
    return image, guide


def test_torch_runs_a_batch(network, batch):
    result = TorchEngine(network, SIZE).run(*batch)
    assert result.shape == (3, SIZE, SIZE)
    assert result.dtype == np.float32
    assert result.std() > 0.01


def test_openvino_agrees_with_torch(network, batch):
    pytest.importorskip("openvino")
    expected = TorchEngine(network, SIZE).run(*batch)
    result = create_engine(network, SIZE, "openvino").run(*batch)
    assert np.abs(result - expected).max() < TOLERANCE


def test_openvino_in_the_precision_of_the_cpu_agrees_with_torch(network, batch):
    pytest.importorskip("openvino")
    expected = TorchEngine(network, SIZE).run(*batch)
    result = create_engine(network, SIZE, "openvino", precision="auto").run(*batch)
    assert np.abs(result - expected).max() < HALF_TOLERANCE


@pytest.mark.parametrize("precision", PRECISIONS)
def test_openvino_gives_the_same_bytes_cold_warm_and_in_a_batch(network, batch, tmp_path, precision):
    pytest.importorskip("openvino")
    cold = create_engine(network, SIZE, "openvino", tmp_path, precision=precision).run(*batch)
    assert list(tmp_path.glob("*.xml")), "the converted model was not cached"
    engine = create_engine(network, SIZE, "openvino", tmp_path, precision=precision)
    np.testing.assert_array_equal(engine.run(*batch), cold)
    alone = np.concatenate([engine.run(i[None], g[None]) for i, g in zip(*batch, strict=True)])
    np.testing.assert_array_equal(alone, cold)


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system does not tell where threads run"
)
def test_openvino_leaves_it_to_the_system_where_a_thread_runs(network, batch):
    pytest.importorskip("openvino")
    engine = create_engine(network, SIZE, "openvino", threads=1)
    busy = threading.Thread(target=lambda: [engine.run(*batch) for _ in range(10)])
    busy.start()
    seen = set()
    while busy.is_alive() and busy.native_id is not None:
        try:
            seen.add(frozenset(os.sched_getaffinity(busy.native_id)))
            time.sleep(0.001)
        except ProcessLookupError:  # it ended between the two lines
            break
    assert seen == {frozenset(os.sched_getaffinity(0))}


def test_other_weights_are_never_served_from_the_cache(network, batch, tmp_path):
    pytest.importorskip("openvino")
    first = create_engine(network, SIZE, "openvino", tmp_path).run(*batch)
    with torch.no_grad():
        network.head.bias.add_(1.0)
    second = create_engine(network, SIZE, "openvino", tmp_path).run(*batch)
    with torch.no_grad():
        network.head.bias.sub_(1.0)
    assert (second > first).mean() > 0.99


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: CudaEngine is not tested here")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 5e-3), ("auto", HALF_TOLERANCE)])
def test_cuda_agrees_with_torch(network, batch, precision, tolerance):
    expected = TorchEngine(network, SIZE).run(*batch)
    engine = CudaEngine(network, SIZE, precision=precision)
    result = engine.run(*batch)
    network.cpu()
    assert np.abs(result - expected).max() < tolerance  # cuDNN multiplies float32 in TF32
    np.testing.assert_array_equal(engine.run(*batch), result)


@pytest.mark.parametrize(
    ("size", "device", "precision", "message"),
    [
        (100, "cpu", "auto", "multiple of 32"),
        (64, "tpu", "auto", "'tpu'"),
        (64, "cpu", "int8", "precision 'int8'"),
    ],
)
def test_wrong_arguments_are_named(network, size, device, precision, message):
    with pytest.raises(ValueError, match=message):
        create_engine(network, size, device, precision=precision)
