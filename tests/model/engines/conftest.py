"""One network and one batch that all engines answer."""

import numpy as np
import pytest
import torch

from model.networks import build
from tests.model.engines.tolerances import SIZE


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = build("lite0-fpn2").eval()
    torch.nn.init.normal_(network.head.weight, std=1.0)  # untrained logits are all near zero
    return network


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    guide = (rng.random((3, 3, SIZE, SIZE)) > 0.95).astype(np.float32)
    return image, guide
