"""Folded batch norms answer and learn as they do unfolded."""

import copy

import pytest
import torch
from torch import nn

from fine_tune.training.frozen_norm import agrees, fold_frozen_norms, unfold_norms
from tests.fine_tune.shape_project import network


@pytest.fixture
def plain() -> nn.Module:
    torch.manual_seed(1)
    net = network().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return net


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 64, 64, generator=chance), torch.rand(2, 3, 64, 64, generator=chance)


def test_answers_and_gradients_are_the_same(plain: nn.Module):
    folded = copy.deepcopy(plain)
    assert fold_frozen_norms(folded) == sum(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    for net in (plain, folded):
        net(*inputs()).square().mean().backward()
    torch.testing.assert_close(folded(*inputs()), plain(*inputs()), rtol=1e-3, atol=1e-4)
    for (name, one), other in zip(plain.named_parameters(), folded.parameters(), strict=True):
        if one.grad is not None:
            scale = float(one.grad.abs().max()) + 1e-8
            assert float((one.grad - other.grad).abs().max()) < 0.01 * scale, name
    assert folded.state_dict().keys() == plain.state_dict().keys()


def test_norms_learn_while_they_are_folded(plain: nn.Module):
    fold_frozen_norms(plain)
    before = plain(*inputs())
    norm = next(m for m in plain.modules() if isinstance(m, nn.BatchNorm2d))
    with torch.no_grad():
        norm.bias.add_(1.0)
    assert not torch.allclose(plain(*inputs()), before)
    folded = plain(*inputs())
    unfold_norms(plain)
    torch.testing.assert_close(plain(*inputs()), folded, rtol=1e-3, atol=1e-4)


class Between(nn.Module):
    """Adds something between a convolution and its norm, as no sequence does by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.stem[1].running_var.fill_(4.0)

    def forward(self, image: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
        return self.stem[1](self.stem[0](image) + 5)


def test_a_network_that_does_something_between_them_is_left_as_it_is():
    net = Between().eval()
    before = net(*inputs())
    assert fold_frozen_norms(net) == 1
    assert not agrees(net, *inputs())
    assert torch.equal(net(*inputs()), before)


def test_a_network_that_agrees_stays_folded(plain: nn.Module):
    fold_frozen_norms(plain)
    assert agrees(plain, *inputs())
    assert "forward" in next(m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)).__dict__
