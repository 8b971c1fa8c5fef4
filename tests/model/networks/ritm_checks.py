"""What holds for every network of RITM: the published size, learning, and a backbone that is told apart."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from model.networks import build


def assert_published_size(name: str, millions: float, mib: float) -> None:
    """Compare with the published parameters (millions) and the size of the published file (MiB)."""
    with torch.device("meta"):
        network = build(name)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    stored = sum(v.numel() * v.element_size() for v in network.state_dict().values())
    assert stored / 2**20 == pytest.approx(mib, rel=0.025)  # the files carry keys and config besides


def assert_learns(name: str, auxiliary: bool) -> None:
    """Train on two halves of noise, which the clicks tell; every parameter must take part."""
    torch.manual_seed(0)
    network = build(name)
    image = torch.rand(2, 3, 32, 32)
    guide = torch.zeros(2, 3, 32, 32)
    target = torch.zeros(2, 1, 32, 32)
    target[0, :, :16], target[1, :, :, 16:] = 1, 1
    guide[:, 1:2] = target
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 1e-3)
    losses = []
    for _ in range(8):
        logits, rough = network.forward_train(image, guide)
        assert (rough is not None) is auxiliary
        loss = F.binary_cross_entropy_with_logits(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None for p in trained)
    assert losses[-1] < 0.6 * losses[0]


def assert_prefix_splits(name: str) -> None:
    """More than half of the parameters are the backbone's, and none of them belongs to a head."""
    with torch.device("meta"):
        network = build(name)
    names = [key for key, _ in network.named_parameters()]
    old = [key for key in names if key.startswith(network.backbone_prefix)]
    assert 0.5 * len(names) < len(old) < len(names)
    assert not [key for key in old if "ocr" in key or "head" in key or "maps" in key or "aspp" in key]
    assert any("maps_transform" in key for key in names)
