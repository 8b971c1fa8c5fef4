"""Small real networks in a real registry: the served code is all there, only the weights are random."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from model.networks import build
from model.versions.registry import Registry, Version

CARD: dict[str, Any] = {
    "architecture": {"name": "lite0-fpn", "params": {}},
    "encoding": {"name": "disk", "radius": 5.0},
    "size": 64,
}


def network(seed: int) -> nn.Module:
    """A network whose answers vary from pixel to pixel and from click to click, other ones for each seed."""
    torch.manual_seed(seed)
    net = build("lite0-fpn").eval()
    last = net.get_submodule("head")
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    image = nn.functional.interpolate(torch.rand(1, 3, 8, 8), (64, 64), mode="bilinear")
    guide = torch.zeros(1, 3, 64, 64)
    guide[0, 1, 20:30, 20:30] = 1
    with torch.no_grad():  # untrained, it would give the same value everywhere
        logits = net(image, guide)
        gain = 3 / logits.std()
        last.bias.copy_((last.bias - logits.quantile(0.05)) * gain)  # no mask is empty
        last.weight.mul_(gain)
    return net


def add(registry: Registry, line: str = "base", seed: int = 0, promote: bool = True) -> Version:
    """Add a version with random weights that depend on `seed`."""
    version = registry.add(line, network(seed), CARD)
    if promote:
        registry.promote(version)
    return version
