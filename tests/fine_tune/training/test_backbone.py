"""The pretrained part of a network learns at its own rate and keeps its statistics."""

import pytest
import torch

from fine_tune.training.backbone import freeze, freeze_statistics, parameter_groups
from fine_tune.training.recipe import Recipe
from model.networks import build

RECIPE = Recipe(steps=100, backbone_share=0.3, warmup=2)


@pytest.fixture
def network():
    return build("lite0-fpn", width=32, context_layers=1, context_dim=32)


def test_the_backbone_learns_at_its_share_of_the_rate(network):
    new, old = parameter_groups(network, RECIPE)
    assert (new["lr"], old["lr"]) == (RECIPE.rate, RECIPE.rate * RECIPE.backbone_share)
    count = sum(p.numel() for group in (new, old) for p in group["params"])
    assert count == sum(p.numel() for p in network.parameters())
    assert sum(p.numel() for p in old["params"]) == sum(p.numel() for p in network.encoder.parameters())


@pytest.mark.parametrize(("own", "expected"), [(0, (2, 2)), (50, (2, 50))])
def test_the_backbone_can_warm_up_longer(network, own, expected):
    recipe = Recipe(steps=100, warmup=2, backbone_warmup=own)
    assert tuple(group["warmup"] for group in parameter_groups(network, recipe)) == expected


@pytest.mark.parametrize(("everywhere", "moves"), [(False, True), (True, False)])
def test_statistics_stand_still(network, everywhere, moves):
    network.train()
    freeze_statistics(network, everywhere)
    assert not any(m.training for m in network.encoder.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert network.top[1].training == moves


def test_a_frozen_network_learns_nothing(network):
    still = freeze(network)
    assert not still.training
    assert not any(p.requires_grad for p in still.parameters())
