import logging

import numpy as np
import pytest
import torch

from model.engines import factory
from model.engines.base import EngineError
from model.engines.factory import create_engine
from tests.model.tiny_network import network


@pytest.mark.parametrize(
    ("size", "device", "precision", "message"),
    [
        (100, "cpu", "auto", "multiple of 32"),
        (64, "tpu", "auto", "'tpu'"),
        (64, "cpu", "int8", "precision 'int8'"),
    ],
)
def test_wrong_arguments_are_named(size, device, precision, message):
    with pytest.raises(ValueError, match=message):
        create_engine(network(), size, device, precision=precision)


@pytest.fixture
def useless_gpu(monkeypatch):
    """A GPU that torch sees and that cannot be used."""

    class Full:
        def __init__(self, *_: object, **__: object) -> None:
            raise EngineError("device 'cuda' cannot be used: CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(factory, "CudaEngine", Full)


def test_auto_takes_the_cpu_where_the_gpu_cannot_be_used_and_says_so(useless_gpu, caplog):
    with caplog.at_level(logging.WARNING):
        engine = create_engine(network(), 96, "auto")
    assert engine.device.startswith("cpu")
    assert "out of memory; the CPU is used instead" in caplog.text
    answer = engine.run(np.zeros((1, 96, 96, 3), np.uint8), np.zeros((1, 3, 96, 96), np.float32))
    assert answer.shape == (1, 96, 96)


def test_auto_takes_torch_where_openvino_knows_no_code_for_the_cpu_and_says_so(monkeypatch, tmp_path, caplog):
    core = pytest.importorskip("openvino").Core

    def compile_model(*_: object) -> None:
        raise RuntimeError("Exception from src/inference/src/dev/plugin.cpp:54:\nbad combination\n\n")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(core, "compile_model", compile_model)
    for home in (tmp_path, tmp_path, None):  # the second time with what the first has left
        assert create_engine(network(), 96, "auto", home).device == "cpu (torch)"
        assert "for this CPU (bad combination): set CLICKMASK_DEVICE=cpu; torch is used" in caplog.text
    with pytest.raises(EngineError, match="bad combination"):
        create_engine(network(), 96, "openvino")
    assert "damaged" not in caplog.text


def test_a_gpu_that_was_asked_for_is_not_replaced(useless_gpu):
    with pytest.raises(EngineError, match="out of memory"):
        create_engine(network(), 96, "cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_without_a_driver_that_torch_can_use_is_noticed(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(factory, "NVIDIA", tmp_path)  # it exists
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with caplog.at_level(logging.WARNING):
        assert create_engine(network(), 96, "auto").device.startswith("cpu")
    assert "device 'cuda' cannot be used" in caplog.text
