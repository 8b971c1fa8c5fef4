"""Small real networks in a real registry: the served code is all there, only the weights are random."""

from __future__ import annotations

from typing import Any

import torch

from model.networks import build
from model.registry import Registry, Version

CARD: dict[str, Any] = {
    "architecture": {"name": "lite0-fpn", "params": {}},
    "encoding": {"name": "disk", "radius": 5.0},
    "size": 64,
}


def add(registry: Registry, line: str = "base", seed: int = 0, promote: bool = True) -> Version:
    """Add a version with random weights that depend on `seed`."""
    torch.manual_seed(seed)
    version = registry.add(line, build("lite0-fpn"), CARD)
    if promote:
        registry.promote(version)
    return version
