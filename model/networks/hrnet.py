"""HRNet: parallel branches at strides 4, 8, 16 and 32 that exchange features (Wang et al., arXiv 1908.07919).

Attribute names are those of the official checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.networks.resnet import BasicBlock, Bottleneck, conv_bn


class Exchange(nn.Module):
    """Run each branch through its blocks, then let every branch sum up all of them.

    A list of Bx(width 2^i)x(h/2^i)x(w/2^i) in, the same shapes out.
    """

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(w, w) for _ in range(blocks))) for w in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        branches = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        outputs = []
        for target, paths in enumerate(self.fuse_layers):
            assert isinstance(paths, nn.ModuleList)
            parts = [path(x) for path, x in zip(paths, branches, strict=True)]
            coarse = (resize(part, branches[target]) for part in parts[target + 1 :])
            outputs.append(self.relu(reduce(torch.add, [*parts[: target + 1], *coarse])))
        return outputs


class HRNet(nn.Module):
    """The backbone; click features join behind the first layer.

    Args:
        width: channels of the stride-4 branch; each coarser one has twice as many.
        small: half the blocks and fewer exchanges ("v1 small" of the authors).
    """

    def __init__(self, width: int, small: bool) -> None:
        super().__init__()
        blocks = 2 if small else 4
        widths = [width * 2**i for i in range(4)]
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        stem = 64 * Bottleneck.expansion
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(stem, 64) for _ in range(blocks - 1)))
        self.transition1 = nn.ModuleList([conv_bn(stem, widths[0]), _new_branch(stem, widths[1])])
        self.stage2 = _stage(widths[:2], blocks, exchanges=1)
        self.transition2 = _branch_off(widths[:3])
        self.stage3 = _stage(widths[:3], blocks, exchanges=3 if small else 4)
        self.transition3 = _branch_off(widths)
        self.stage4 = _stage(widths, blocks, exchanges=2 if small else 3)
        self.channels = sum(widths)

    def features(self, image: Tensor, marks: Tensor | None) -> Tensor:
        """Bx3xHxW image, Bx64x(H/2)x(W/2) click features -> Bx`channels`x(H/4)x(W/4)."""
        x = self.relu(self.bn1(self.conv1(image)))
        if marks is not None:
            x = x + marks
        x = self.layer1(self.relu(self.bn2(self.conv2(x))))
        branches = self.stage2([grow(x) for grow in self.transition1])
        for transition, stage in ((self.transition2, self.stage3), (self.transition3, self.stage4)):
            grown = transition[-1](branches[-1])
            branches = stage([*branches, grown])
        return torch.cat([branches[0], *(resize(x, branches[0]) for x in branches[1:])], 1)


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Resize BxCxHxW bilinearly to the sides of `like`, corners aligned as in the official weights' training."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


def _path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """From one branch to another: 1x1 towards finer ones (resized later), 3x3 of stride 2 towards coarser ones."""
    if source == target:
        return nn.Identity()
    if source > target:
        return conv_bn(widths[source], widths[target], 1, relu=False)
    steps = [conv_bn(widths[source], widths[source], stride=2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, conv_bn(widths[source], widths[target], stride=2, relu=False))


def _stage(widths: Sequence[int], blocks: int, exchanges: int) -> nn.Sequential:
    return nn.Sequential(*(Exchange(widths, blocks) for _ in range(exchanges)))


def _new_branch(inp: int, out: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(inp, out, stride=2))


def _branch_off(widths: Sequence[int]) -> nn.ModuleList:
    """Keep what is there, and begin one coarser branch from the coarsest."""
    return nn.ModuleList([*(nn.Identity() for _ in widths[:-1]), _new_branch(widths[-2], widths[-1])])
