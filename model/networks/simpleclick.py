"""SimpleClick (Liu et al., arXiv 2210.11006): a plain ViT that sees clicks and previous mask as patches, too.

Attribute names are those of the official checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.networks.entry import IMAGENET_MEAN, IMAGENET_STD, Normalize
from model.networks.plain_vit import InputSizeError, PatchEmbed, PlainViT, grid_of, windows_of

LEVELS = 4  # of the feature pyramid

PUBLISHED: dict[str, dict[str, Any]] = {  # parameters of the networks of the paper
    "simpleclick-xtiny": {
        "patch": 16,
        "dim": 160,
        "depth": 8,
        "heads": 4,
        "neck": (96, 192, 288, 384),
        "channels": 128,
    },
    "simpleclick-base": {
        "patch": 16,
        "dim": 768,
        "depth": 12,
        "heads": 12,
        "neck": (128, 256, 512, 1024),
        "channels": 256,
    },
    "simpleclick-large": {
        "patch": 16,
        "dim": 1024,
        "depth": 24,
        "heads": 16,
        "neck": (192, 384, 768, 1536),
        "channels": 256,
    },
    "simpleclick-huge": {
        "patch": 14,
        "dim": 1280,
        "depth": 32,
        "heads": 16,
        "neck": (240, 480, 960, 1920),
        "channels": 256,
    },
}


class Neck(nn.Module):
    """A simple feature pyramid (arXiv 2203.16527): four scales made of the last map alone.

    BxCxhxw -> four maps with `out` channels, fine to coarse: 4h x 4w, 2h x 2w, h x w, h/2 x w/2.

    Args:
        dim: channels C of the map.
        out: channels of the levels.
    """

    def __init__(self, dim: int, out: Sequence[int]) -> None:
        super().__init__()
        first, second, third, fourth = out
        wide = max(2 * first, dim // 2)
        self.down_4 = nn.Sequential(
            nn.ConvTranspose2d(dim, wide, 2, 2),
            _norm(wide),
            nn.GELU(),
            nn.ConvTranspose2d(wide, wide // 2, 2, 2),
            _norm(wide // 2),
            *_project(wide // 2, first),
        )
        wide = max(second, dim // 2)
        self.down_8 = nn.Sequential(nn.ConvTranspose2d(dim, wide, 2, 2), _norm(wide), *_project(wide, second))
        self.down_16 = nn.Sequential(*_project(dim, third))
        wide = max(fourth, 2 * dim)
        self.down_32 = nn.Sequential(nn.Conv2d(dim, wide, 2, 2), _norm(wide), *_project(wide, fourth))

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.down_4(x), self.down_8(x), self.down_16(x), self.down_32(x)]


class ConvReLU(nn.Module):
    """1x1 convolution and ReLU."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inp, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class MaskHead(nn.Module):
    """The levels brought to one size and mixed (SegFormer, arXiv 2105.15203); a pyramid -> Bx1x4hx4w logits."""

    def __init__(self, inputs: Sequence[int], channels: int, dropout: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList(ConvReLU(inp, channels) for inp in inputs)
        self.fusion_conv = ConvReLU(LEVELS * channels, channels)
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = nn.Conv2d(channels, 1, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        size = levels[0].shape[2:]
        same = [
            F.interpolate(conv(level), size, mode="bilinear", align_corners=False)
            for conv, level in zip(self.convs, levels, strict=True)
        ]
        return self.conv_seg(self.dropout(self.fusion_conv(torch.cat(same, 1))))


class SimpleClick(nn.Module):
    """The click model on a plain ViT. See `model.networks` for the shapes of `forward`.

    Input sides must be multiples of the patch and divide into windows of about 224 pixels: 224, 448, 672 and so on,
    square or not.

    Args:
        patch, dim, depth, heads: see `PlainViT`.
        neck: channels of the four levels.
        channels: of the mask head.
        image: height and width in pixels it was trained with.
        dropout: in front of the logits, in training.
        norm_mean_std: mean and standard deviation of the image, per channel.
    """

    backbone_prefix = "backbone."

    def __init__(
        self,
        patch: int,
        dim: int,
        depth: int,
        heads: int,
        neck: Sequence[int],
        channels: int,
        image: Sequence[int] = (448, 448),
        dropout: float = 0.1,
        norm_mean_std: Sequence[Sequence[float]] = (IMAGENET_MEAN, IMAGENET_STD),
    ) -> None:
        super().__init__()
        mean, std = norm_mean_std
        self.normalize = Normalize(tuple(mean), tuple(std))
        self.patch_embed_coords = PatchEmbed(patch, dim)
        self.backbone = PlainViT(patch, dim, depth, heads, (image[0], image[1]))
        self.neck = Neck(dim, neck)
        self.head = MaskHead(neck, channels, dropout)

    def takes(self, side: int) -> bool:
        """Tell whether square inputs with a side of so many pixels divide into patches and windows."""
        patch = self.backbone.patch
        try:
            windows_of(*grid_of(side, side, patch), patch)
        except InputSizeError:
            return False
        return True

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """Bx3xHxW RGB and guide, both in 0..1 -> Bx1xHxW logits."""
        features = self.backbone(self.normalize(image), self.patch_embed_coords(guide))
        logits = self.head(self.neck(features))
        return F.interpolate(logits, image.shape[2:], mode="bilinear", align_corners=True)


def _norm(channels: int) -> nn.GroupNorm:
    """Norm over channels and places together."""
    return nn.GroupNorm(1, channels)


def _project(inp: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(inp, out, 1), _norm(out), nn.GELU()]
