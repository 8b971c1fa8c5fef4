"""OpenVINO computes what torch computes, and the same bytes again."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.engines import openvino as openvino_module
from model.engines.base import PRECISIONS
from model.engines.factory import create_engine
from model.engines.openvino import _digest
from model.engines.torch_cpu import TorchEngine
from model.networks import build
from tests.model.engines.tolerances import HALF_TOLERANCE, SIZE, TOLERANCE
from tests.model.official_checkpoints import small_vit
from tests.model.tiny_network import network as tiny
from tests.outgoing_calls import outgoing_calls

ROOT = Path(__file__).parents[3]


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
    assert list(tmp_path.glob("*/model.xml")), "the converted model was not cached"
    engine = create_engine(network, SIZE, "openvino", tmp_path, precision=precision)
    np.testing.assert_array_equal(engine.run(*batch), cold)
    alone = np.concatenate([engine.run(i[None], g[None]) for i, g in zip(*batch, strict=True)])
    np.testing.assert_array_equal(alone, cold)


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (partial(build, "hrnet18s-ocr"), {"norm_mean_std": [[0.5] * 3, [0.5] * 3]}),
        (partial(build, "hrnet18s-ocr"), {"binary_prev_mask": True}),
        (small_vit, {"norm_mean_std": [[0.5] * 3, [0.5] * 3]}),
        (small_vit, {"heads": 4}),
    ],
)
def test_networks_of_the_same_weights_are_kept_apart(make, changes):
    one, other = make(), make(**changes)
    other.load_state_dict(one.state_dict())
    assert _digest(one) != _digest(other)
    other = make()
    other.load_state_dict(one.state_dict())
    assert _digest(one) == _digest(other)


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system does not tell where threads run"
)
def test_openvino_leaves_it_to_the_system_where_a_thread_runs(network, batch):
    pytest.importorskip("openvino")
    engine = create_engine(network, SIZE, "openvino", threads=1)
    seen, passes = set(), []

    def work() -> None:
        while len(passes) < 10 or not seen:
            passes.append(engine.run(*batch))

    busy = threading.Thread(target=work)
    busy.start()
    while busy.is_alive() and busy.native_id is not None:
        try:
            seen.add(frozenset(os.sched_getaffinity(busy.native_id)))
            time.sleep(0.001)
        except ProcessLookupError:  # it ended between the two lines
            break
    assert seen == {frozenset(os.sched_getaffinity(0))}


@pytest.mark.parametrize(("threads", "wanted"), [(0, 1), (2, 2)])
def test_openvino_takes_no_more_threads_than_a_quota_pays_for(threads, wanted, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(openvino_module, "quota", lambda: 0.5)
    monkeypatch.setattr(openvino_module, "cores", lambda: 1)
    engine = create_engine(tiny(), SIZE, "openvino", threads=threads)
    assert engine._compiled.get_property("INFERENCE_NUM_THREADS") == wanted


def test_openvino_answers_several_threads_at_once_alike(network, batch):
    pytest.importorskip("openvino")
    engine = create_engine(network, SIZE, "openvino", threads=2, streams=2)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: engine.run(*batch), range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - TorchEngine(network, SIZE).run(*batch)).max() < TOLERANCE


# In a process of its own, which a signal without a stack would kill.
ENGINES_THAT_COME_AND_GO = """
import signal
from torch import nn
from model.engines.openvino import OpenVINOEngine

class Network(nn.Module):
    def forward(self, image, guide):
        return guide[:, :1] + image.float().mean()

signal.signal(signal.SIGALRM, lambda *_: print("heard"))
first, second = OpenVINOEngine(Network(), 64), OpenVINOEngine(Network(), 64)
del first
del second
signal.raise_signal(signal.SIGALRM)
"""


def test_signals_still_arrive_after_engines_came_and_went():
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-c", ENGINES_THAT_COME_AND_GO], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.stdout, done.returncode) == ("heard\n", 0), done.stderr


def test_other_weights_are_never_served_from_the_cache(batch, tmp_path):
    pytest.importorskip("openvino")
    network = tiny()
    first = create_engine(network, SIZE, "openvino", tmp_path).run(*batch)
    with torch.no_grad():
        network.head.bias.add_(1.0)
    second = create_engine(network, SIZE, "openvino", tmp_path).run(*batch)
    assert (second > first).mean() > 0.99


class Shifted(nn.Module):
    """A network whose answer hangs on a buffer that no file holds."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.register_buffer("shift", torch.full((1,), shift), persistent=False)

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        return guide[:, :1] + image.mean() + self.shift


def test_other_buffers_that_no_file_holds_are_never_served_from_the_cache(batch, tmp_path):
    pytest.importorskip("openvino")
    low, high = (create_engine(Shifted(shift), SIZE, "openvino", tmp_path).run(*batch) for shift in (0, 1))
    assert (high > low).all()


def test_a_network_whose_code_has_changed_is_converted_anew(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    code = tmp_path / "network.py"
    monkeypatch.setattr(openvino_module, "SOURCES", (code,))
    for text in ("x + 1", "x + 2", "x + 1"):
        code.write_text(text)
        create_engine(Shifted(0), SIZE, "openvino", tmp_path / "engines")
    assert len(list((tmp_path / "engines").iterdir())) == 2


def test_a_damaged_cache_is_made_anew(batch, tmp_path, caplog):
    pytest.importorskip("openvino")
    network = tiny()
    cold = create_engine(network, SIZE, "openvino", tmp_path).run(*batch)
    (model,) = tmp_path.glob("*/model.xml")
    for damage in (lambda: model.write_bytes(model.read_bytes()[:1000]), model.unlink):
        damage()
        np.testing.assert_array_equal(create_engine(network, SIZE, "openvino", tmp_path).run(*batch), cold)
        assert "is damaged and made anew" in caplog.text
        assert model.exists()
        caplog.clear()


def test_without_a_place_for_the_cache_it_works_and_says_so(batch, tmp_path, caplog):
    pytest.importorskip("openvino")
    network = tiny()
    (tmp_path / "engines").write_text("a file where the folder should be")
    expected = create_engine(network, SIZE, "openvino").run(*batch)
    answer = create_engine(network, SIZE, "openvino", tmp_path / "engines").run(*batch)
    np.testing.assert_array_equal(answer, expected)
    assert "converted at every start" in caplog.text


CONVERSION = """
import numpy as np
from model.engines.factory import create_engine
from model.engines.openvino import _digest
from tests.model.tiny_network import network
engine = create_engine(network(), 96, "openvino")
engine.run(np.zeros((1, 96, 96, 3), np.uint8), np.zeros((1, 3, 96, 96), np.float32))
"""


def test_a_conversion_calls_nobody_and_leaves_nothing_at_home(tmp_path):
    pytest.importorskip("openvino")
    assert outgoing_calls(CONVERSION, tmp_path / "home") == []
    assert list((tmp_path / "home").iterdir()) == []


def test_telemetry_that_is_let_in_is_seen(tmp_path):
    """Or else the test above could not fail."""
    if not any(found.metadata["Name"] == "openvino-telemetry" for found in distributions()):
        pytest.skip("this OpenVINO comes without telemetry")
    wait = "for _ in range(2000):\n    time.sleep(0.1)\n    os.fstat(audit).st_size and exit()"
    calls = outgoing_calls(f"import openvino, os, time\n{wait}", tmp_path / "home")
    assert any("google" in call for call in calls)
