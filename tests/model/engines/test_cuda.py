"""What of the CUDA engine can be told without a GPU; tests/gpu has the rest."""

import pytest
import torch

from model.engines import cuda
from model.engines.base import EngineError
from model.engines.cuda import CudaEngine, half_dtype
from tests.model.tiny_network import network


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_the_half_precision_is_one_that_the_gpu_computes_in(monkeypatch, native, dtype):
    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert half_dtype() == dtype


def test_float32_is_multiplied_as_float32_and_the_setting_comes_back():
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = conv.fp32_precision, matmul.fp32_precision
    with cuda._without_tf32():
        assert (conv.fp32_precision, matmul.fp32_precision) == ("ieee", "ieee")
    assert (conv.fp32_precision, matmul.fp32_precision) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_reason_and_the_fix_are_told():
    with pytest.raises(EngineError, match="device 'cuda' cannot be used.*'auto'"):
        CudaEngine(network(), 96)


def test_too_little_memory_is_told_in_one_sentence(monkeypatch):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore of it")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "_numbered", full)
    with pytest.raises(EngineError, match=r"device 'cuda' cannot be used: CUDA out of memory.*2\.00 GiB\.$"):
        CudaEngine(network(), 96)
