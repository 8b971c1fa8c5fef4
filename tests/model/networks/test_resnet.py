"""Residual blocks, and the ResNet-34 that keeps stride 8."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from model.networks.resnet import BasicBlock, Bottleneck, DilatedResNet34, conv_bn


def zero(block: nn.Module) -> nn.Module:
    """Silence everything beside the shortcut."""
    for key, parameter in block.named_parameters():
        if "downsample" not in key:
            nn.init.zeros_(parameter)
    return block.eval()


def test_beside_a_silent_block_the_input_passes() -> None:
    image = torch.rand(1, 8, 6, 6)
    torch.testing.assert_close(zero(BasicBlock(8, 8))(image), image)
    wide = torch.rand(1, 32, 6, 6)
    torch.testing.assert_close(zero(Bottleneck(32, 8))(wide), wide)


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (BasicBlock(8, 16, stride=2), (2, 16, 3, 3)),
        (BasicBlock(8, 8, dilations=(2, 4)), (2, 8, 6, 6)),
        (Bottleneck(8, 8), (2, 32, 6, 6)),
        (conv_bn(8, 4, 5, 2), (2, 4, 3, 3)),
    ],
)
def test_shapes(block: nn.Module, shape: tuple[int, ...]) -> None:
    assert block(torch.rand(2, 8, 6, 6)).shape == shape


@pytest.mark.parametrize("dilations", [(1, 1), (1, 2), (4, 4)])
def test_a_block_sees_as_far_as_its_dilations(dilations: tuple[int, int]) -> None:
    block = BasicBlock(1, 1, dilations=dilations).eval()
    for conv in (block.conv1, block.conv2):
        nn.init.ones_(conv.weight)
    image = torch.ones(1, 1, 33, 33, requires_grad=True)
    block(image)[0, 0, 16, 16].backward()
    assert image.grad is not None
    rows = image.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert (rows.min(), rows.max()) == (16 - sum(dilations), 16 + sum(dilations))


def test_the_last_stages_keep_stride_8() -> None:
    network = DilatedResNet34().eval()
    with torch.inference_mode():
        fine, coarse = network(torch.rand(1, 3, 64, 96), torch.zeros(1, 64, 32, 48))
    assert (fine.shape, coarse.shape) == ((1, 64, 16, 24), (1, 512, 8, 12))
