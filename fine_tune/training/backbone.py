"""The pretrained part of a network in training: its learning rate, and its batch norm statistics."""

from __future__ import annotations

import torch
from torch import nn

from fine_tune.training.recipe import Recipe


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Group parameters for the optimizer; the pretrained backbone (the network's `backbone_prefix`) learns slower."""
    prefix = getattr(network, "backbone_prefix", None)
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    old = [p for name, p in named if prefix and name.startswith(prefix)]
    new = [p for name, p in named if not (prefix and name.startswith(prefix))]
    late = recipe.backbone_warmup or recipe.warmup
    groups = [
        {"params": new, "lr": recipe.rate, "warmup": recipe.warmup},
        {"params": old, "lr": recipe.rate * recipe.backbone_share, "warmup": late},
    ]
    return [group for group in groups if group["params"]]


def freeze_statistics(network: nn.Module, everywhere: bool = False) -> None:
    """Put batch norm of the backbone (or everywhere) into evaluation mode: small batches would spoil it."""
    prefix = getattr(network, "backbone_prefix", "")
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and (everywhere or (prefix and name.startswith(prefix))):
            module.eval()


def freeze(network: nn.Module) -> nn.Module:
    """Make a network one that only answers, in evaluation mode and without gradients, and return it."""
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
