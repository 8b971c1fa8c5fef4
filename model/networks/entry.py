"""The click entry: how previous mask and click maps join a backbone that was pretrained on RGB alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalize(nn.Module):
    """Subtract a per-channel mean and divide by a standard deviation; Bx3xHxW float in, the same out."""

    def __init__(
        self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


class ClickEntry(nn.Module):
    """Turn the guide into features that are added behind the backbone's first layer (RITM, arXiv 2102.06583).

    Bx3xHxW guide [previous mask, positive, negative] -> BxCx(H/2)x(W/2). The learned scale starts small, so
    that training starts from what the backbone knows.
    """

    def __init__(self, channels: int, hidden: int = 16, scale: float = 0.05) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, hidden, 1)
        self.activation = nn.LeakyReLU(0.2)
        self.down = nn.Conv2d(hidden, channels, 3, stride=2, padding=1)
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, guide: Tensor) -> Tensor:
        return self.down(self.activation(self.mix(guide))) * self.scale
