"""A network of a few weights, for tests of what is around networks; `install` makes it known by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from model.networks import NETWORKS

CARD: dict[str, Any] = {
    "architecture": {"name": "tiny", "params": {"width": 4}},
    "encoding": {"name": "disk", "radius": 5.0},
    "size": 96,
    "parent": "base-1-00000000",
    "training": {"items": 3},
    "metrics": {"noc": 2.5},
}


class Tiny(nn.Module):
    """Two convolutions and a batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(6, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.stem(torch.cat([image, guide], 1)))))


def install() -> None:
    """Make `build("tiny", ...)` work in this process."""
    NETWORKS["tiny"] = Tiny


def network(seed: int = 0) -> Tiny:
    """Random weights that depend on the seed."""
    torch.manual_seed(seed)
    return Tiny(**CARD["architecture"]["params"])
