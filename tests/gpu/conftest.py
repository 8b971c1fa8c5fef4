"""What runs on a GPU alone. `make test-gpu` proves all of it in one command on a machine that has one."""

import numpy as np
import pytest
import torch

from model.networks import build
from model.versions import checkpoint
from model.versions.registry import PACKAGED

SIZE = 384


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip loudly: nothing in this folder says anything about a machine without a GPU."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="NO GPU: THE CUDA ENGINE IS NOT TESTED HERE, run `make test-gpu` on one")
    for item in items:
        if "tests/gpu/" in item.path.as_posix():
            item.add_marker(skip)


@pytest.fixture(scope="session")
def network() -> torch.nn.Module:
    """The network that ships, with its weights."""
    return checkpoint.load(PACKAGED)[0]


@pytest.fixture(scope="session")
def untrained() -> torch.nn.Module:
    """Another network of the same kind: nothing may depend on the weights that ship."""
    torch.manual_seed(0)
    return build("lite0-fpn2").eval()


@pytest.fixture(scope="session")
def inputs() -> tuple[np.ndarray, np.ndarray]:
    """Eleven images with guides."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (11, SIZE, SIZE, 3), dtype=np.uint8)
    return image, (rng.random((11, 3, SIZE, SIZE)) > 0.99).astype(np.float32)
