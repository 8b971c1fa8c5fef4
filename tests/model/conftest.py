"""What several tests of models need."""

from pathlib import Path

import pytest
import torch

from model.networks import NETWORKS
from model.versions.registry import Registry
from tests.model.tiny_network import Tiny, network


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """A network that is saved and loaded in no time."""
    monkeypatch.setitem(NETWORKS, "tiny", Tiny)
    return network()


@pytest.fixture
def store(tmp_path: Path) -> Registry:
    """A registry in a folder."""
    return Registry(tmp_path)
