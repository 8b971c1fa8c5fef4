"""How the networks of RITM (Sofiiuk et al., arXiv 2102.06583) see clicks and previous mask.

Names of options and attributes are those of the official checkpoints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.networks.entry import IMAGENET_MEAN, IMAGENET_STD, Normalize
from model.networks.hrnet import resize

STEM_CHANNELS = 64  # of the first layer of both HRNet and ResNet


@dataclass(frozen=True)
class Entry:
    """How the guide enters.

    Attributes:
        with_prev_mask: the network sees the previous mask; without it only the clicks.
        binary_prev_mask: the previous mask is cut at 0.5 first.
        use_leaky_relu: LeakyReLU(0.2) in the click layers instead of ReLU.
        use_rgb_conv: image and guide are mixed into three channels in front of the backbone, instead of click
            features being added behind its first layer.
        conv_extend: the click features come from one convolution instead of two with a small learned scale.
        norm_mean_std: mean and standard deviation of the image, per channel.
    """

    with_prev_mask: bool = True
    binary_prev_mask: bool = False
    use_leaky_relu: bool = True
    use_rgb_conv: bool = False
    conv_extend: bool = False
    norm_mean_std: tuple[tuple[float, ...], tuple[float, ...]] = (IMAGENET_MEAN, IMAGENET_STD)


class Scale(nn.Module):
    """Multiply by a learned scale of which only the size counts."""

    def __init__(self, initial: float = 0.05) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.abs()


class GuidedNetwork(nn.Module):
    """Base of the RITM networks: normalises the image, brings the guide in, resizes the answer.

    A subclass gives `decode`. See `model.networks` for the shapes of `forward`; any input side will do.
    """

    backbone_prefix: tuple[str, ...]

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry
        mean, std = entry.norm_mean_std
        self.normalize = Normalize(tuple(mean), tuple(std))
        channels = 3 if entry.with_prev_mask else 2
        activation = nn.LeakyReLU(0.2) if entry.use_leaky_relu else nn.ReLU(inplace=True)
        self.maps_transform: nn.Module | None = None
        if entry.use_rgb_conv:
            hidden = 6 + channels
            self.rgb_conv = nn.Sequential(
                nn.Conv2d(3 + channels, hidden, 1),
                nn.BatchNorm2d(hidden),
                activation,
                nn.Conv2d(hidden, 3, 1),
            )
        elif entry.conv_extend:
            self.maps_transform = nn.Conv2d(channels, STEM_CHANNELS, 3, 2, 1)
        else:
            self.maps_transform = nn.Sequential(
                nn.Conv2d(channels, 16, 1), activation, nn.Conv2d(16, STEM_CHANNELS, 3, 2, 1), Scale()
            )

    def decode(self, image: Tensor, marks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Bx3xHxW normalised image and click features (Bx64x(H/2)x(W/2), None where the image holds them already)
        -> Bx1xhxw logits and auxiliary logits at a coarser resolution."""
        raise NotImplementedError

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """Bx3xHxW RGB and guide, both in 0..1 -> Bx1xHxW logits."""
        return resize(self.decode(*self._enter(image, guide))[0], image)

    def forward_train(self, image: Tensor, guide: Tensor) -> tuple[Tensor, Tensor | None]:
        """As `forward`, with the auxiliary logits beside them; None where the network has no auxiliary head."""
        logits, auxiliary = self.decode(*self._enter(image, guide))
        return resize(logits, image), None if auxiliary is None else resize(auxiliary, image)

    def extra_repr(self) -> str:
        """Tell what no tensor does: converted networks are kept by their text and tensors."""
        return str(self.entry)

    def _enter(self, image: Tensor, guide: Tensor) -> tuple[Tensor, Tensor | None]:
        previous, clicks = guide[:, :1], guide[:, 1:]
        if self.entry.binary_prev_mask:
            previous = (previous > 0.5).to(guide.dtype)
        guide = torch.cat([previous, clicks], 1) if self.entry.with_prev_mask else clicks
        image = self.normalize(image)
        if self.maps_transform is None:
            return self.rgb_conv(torch.cat([image, guide], 1)), None
        return image, self.maps_transform(guide)


def initialise(network: nn.Module) -> None:
    """Fill with Gaussian Xavier weights (gain sqrt(2)) and zero biases, what RITM starts everything from."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight, math.sqrt(2))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
