import numpy as np
import pytest
import torch

from model.engines.cuda import CudaEngine
from model.engines.torch_cpu import TorchEngine
from tests.model.engines.tolerances import HALF_TOLERANCE, SIZE


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: CudaEngine is not tested here")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 5e-3), ("auto", HALF_TOLERANCE)])
def test_cuda_agrees_with_torch(network, batch, precision, tolerance):
    expected = TorchEngine(network, SIZE).run(*batch)
    engine = CudaEngine(network, SIZE, precision=precision)
    result = engine.run(*batch)
    network.cpu()
    assert np.abs(result - expected).max() < tolerance  # cuDNN multiplies float32 in TF32
    np.testing.assert_array_equal(engine.run(*batch), result)
