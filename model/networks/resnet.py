"""Residual blocks and a dilated ResNet-34.

Blocks: He et al., arXiv 1512.03385, with the stride in the 3x3 convolution. Dilation instead of stride in the last
two stages: Chen et al., arXiv 1706.05587. Attribute names are those of the official RITM checkpoints.
"""

from __future__ import annotations

from torch import Tensor, nn


def conv_bn(inp: int, out: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Make a convolution without bias, padded to keep the side at stride 1, with batch norm and, if wanted, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inp, out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; Bxinpxhxw -> Bxwidthx(h/stride)x(w/stride).

    Args:
        inp, width: channels in and out.
        stride: of the first convolution.
        dilations: of the two convolutions.
    """

    expansion = 1

    def __init__(self, inp: int, width: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(inp, width, 3, stride, first, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, second, second, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inp, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a shortcut; Bxinpxhxw -> Bx(4 width)xhxw."""

    expansion = 4

    def __init__(self, inp: int, width: int) -> None:
        super().__init__()
        out = width * self.expansion
        self.conv1 = nn.Conv2d(inp, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inp, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class DilatedResNet34(nn.Module):
    """ResNet-34 whose last two stages keep stride 8; click features join behind the first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, 64, 3)
        self.layer2 = _stage(64, 128, 4, stride=2)
        self.layer3 = _stage(128, 256, 6, dilation=2)
        self.layer4 = _stage(256, 512, 3, dilation=4)

    def forward(self, image: Tensor, marks: Tensor | None) -> tuple[Tensor, Tensor]:
        """Bx3xHxW image, Bx64x(H/2)x(W/2) click features -> 64 channels at stride 4, 512 at stride 8."""
        x = self.relu(self.bn1(self.conv1(image)))
        if marks is not None:
            x = x + marks
        fine = self.layer1(self.maxpool(x))
        return fine, self.layer4(self.layer3(self.layer2(fine)))


def _shortcut(inp: int, out: int, stride: int) -> nn.Module:
    return conv_bn(inp, out, 1, stride, relu=False) if stride != 1 or inp != out else nn.Identity()


def _stage(inp: int, width: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    # The first convolution still sees what the stage before made, hence half the dilation.
    first = BasicBlock(inp, width, stride, (max(dilation // 2, 1), dilation))
    return nn.Sequential(
        first, *(BasicBlock(width, width, 1, (dilation, dilation)) for _ in range(blocks - 1))
    )
