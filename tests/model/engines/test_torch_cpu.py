import numpy as np

from model.engines.torch_cpu import TorchEngine
from tests.model.engines.tolerances import SIZE


def test_torch_runs_a_batch(network, batch):
    result = TorchEngine(network, SIZE).run(*batch)
    assert result.shape == (3, SIZE, SIZE)
    assert result.dtype == np.float32
    assert result.std() > 0.01
