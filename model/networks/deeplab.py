"""DeepLabV3+ (Chen et al., arXiv 1802.02611) on a dilated ResNet-34, as in RITM (arXiv 2102.06583).

Attribute names, a spelling mistake included, are those of the official RITM checkpoints.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from model.networks.guided import Entry, GuidedNetwork, initialise
from model.networks.hrnet import resize
from model.networks.resnet import DilatedResNet34, conv_bn

RATES = (12, 24, 36)  # of the pyramid's dilated convolutions, for features at stride 8
SKIP_CHANNELS = 32


class SeparableConv(nn.Module):
    """3x3 convolution per channel, 1x1 convolution, batch norm, ReLU; BxCxhxw -> Bxoutxhxw."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        depthwise = nn.Conv2d(inp, inp, 3, padding=1, groups=inp, bias=False)
        self.body = nn.Sequential(depthwise, *conv_bn(inp, out, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class ImagePool(nn.Module):
    """The image's mean feature, projected, at every place; BxCxhxw -> Bxoutxhxw."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        self.gap = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_bn(inp, out, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.gap(x).expand(-1, -1, *x.shape[2:])


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling (arXiv 1706.05587); BxCxhxw -> Bxoutxhxw."""

    def __init__(self, inp: int, out: int, dropout: float) -> None:
        super().__init__()
        dilated = [
            nn.Sequential(
                nn.Conv2d(inp, out, 3, padding=rate, dilation=rate, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            )
            for rate in RATES
        ]
        self.concurent = nn.ModuleList([conv_bn(inp, out, 1), *dilated, ImagePool(inp, out)])
        self.project = nn.Sequential(*conv_bn(out * (len(RATES) + 2), out, 1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        return self.project(torch.cat([part(x) for part in self.concurent], 1))


class Skip(nn.Module):
    """1x1 projection of fine features."""

    def __init__(self, inp: int) -> None:
        super().__init__()
        self.skip_project = conv_bn(inp, SKIP_CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip_project(x)


class Decoder(nn.Module):
    """Two separable convolutions and a 1x1 on coarse and fine features together."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        self.block = nn.Sequential(SeparableConv(inp, out), SeparableConv(out, out), nn.Conv2d(out, out, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class DeepLabV3Plus(nn.Module):
    """Bx3xHxW image, Bx64x(H/2)x(W/2) click features -> Bxchannelsx(H/4)x(W/4)."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.backbone = DilatedResNet34()
        self.head = Decoder(channels + SKIP_CHANNELS, channels)
        self.skip_project = Skip(64)
        self.aspp = Pyramid(512, channels, dropout)

    def forward(self, image: Tensor, marks: Tensor | None) -> Tensor:
        fine, coarse = self.backbone(image, marks)
        return self.head(torch.cat([resize(self.aspp(coarse), fine), self.skip_project(fine)], 1))


class MaskHead(nn.Module):
    """Two separable convolutions and the logits."""

    def __init__(self, inp: int) -> None:
        super().__init__()
        mid = inp // 2
        self.layers = nn.Sequential(SeparableConv(inp, mid), SeparableConv(mid, mid), nn.Conv2d(mid, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class DeepLabR34(GuidedNetwork):
    """The click model on DeepLabV3+.

    Args:
        deeplab_ch: channels of pyramid and decoder.
        aspp_dropout: dropout behind the pyramid, in training.
        entry: see `Entry`.
    """

    backbone_prefix = ("feature_extractor.backbone.",)

    def __init__(self, deeplab_ch: int = 128, aspp_dropout: float = 0.2, **entry: Any) -> None:
        super().__init__(Entry(**entry))
        self.feature_extractor = DeepLabV3Plus(deeplab_ch, aspp_dropout)
        self.head = MaskHead(deeplab_ch)
        initialise(self)

    def decode(self, image: Tensor, marks: Tensor | None) -> tuple[Tensor, None]:
        """See `GuidedNetwork.decode`."""
        return self.head(self.feature_extractor(image, marks)), None
