"""Object-contextual representations for a single class (Yuan et al., arXiv 1909.11065).

Attribute names are those of the official RITM checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _project(inp: int, out: int, layers: int = 1) -> nn.Sequential:
    parts: list[nn.Module] = []
    for i in range(layers):
        parts.append(nn.Conv2d(inp if i == 0 else out, out, 1, bias=False))
        parts.append(nn.Sequential(nn.BatchNorm2d(out), nn.ReLU(inplace=True)))
    return nn.Sequential(*parts)


def gather(features: Tensor, logits: Tensor) -> Tensor:
    """Average BxCxhxw features over the object, weighted by the softmax of Bx1xhxw logits over places: BxCx1x1."""
    weights = torch.softmax(logits.flatten(2), dim=2)
    return torch.bmm(features.flatten(2), weights.transpose(1, 2)).unsqueeze(3)


class ObjectContext(nn.Module):
    """What the object says to every place.

    Places attend to objects by a softmax over the objects. There is one object, so every place attends to it with
    weight 1 whatever query and key are: `f_pixel` and `f_object` exist for the official weights alone and are
    neither computed nor trained.
    """

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.f_pixel = _project(channels, key_channels, layers=2).requires_grad_(False)
        self.f_object = _project(channels, key_channels, layers=2).requires_grad_(False)
        self.f_down = _project(channels, key_channels)
        self.f_up = _project(key_channels, channels)

    def forward(self, summary: Tensor) -> Tensor:
        """BxCx1x1 -> BxCx1x1."""
        return self.f_up(self.f_down(summary))


class ObjectHead(nn.Module):
    """Features joined with the object's context: BxCxhxw features, BxCx1x1 summary -> BxCxhxw."""

    def __init__(self, channels: int, key_channels: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.object_context_block = ObjectContext(channels, key_channels)
        self.conv_bn_dropout = nn.Sequential(*_project(2 * channels, channels), nn.Dropout2d(dropout))

    def forward(self, features: Tensor, summary: Tensor) -> Tensor:
        context = self.object_context_block(summary).expand_as(features)
        return self.conv_bn_dropout(torch.cat([context, features], 1))
