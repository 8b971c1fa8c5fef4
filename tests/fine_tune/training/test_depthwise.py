"""Depthwise convolutions are computed in float32 within mixed precision, and nothing else is."""

import copy

import pytest
import torch
from torch import Tensor, nn

from fine_tune.training.depthwise import DepthwiseInFloat32


@pytest.fixture
def depthwise() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8)


def image(dtype: torch.dtype) -> Tensor:
    return torch.rand(2, 8, 16, 16, generator=torch.Generator().manual_seed(0)).to(dtype)


def gradient(convolution: nn.Conv2d, given: Tensor) -> Tensor:
    convolution(given).float().square().mean().backward()
    assert convolution.weight.grad is not None
    return convolution.weight.grad


def test_answers_in_mixed_precision_are_those_of_float32(depthwise: nn.Conv2d):
    given = image(torch.bfloat16)
    wanted = depthwise(given.float()).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        with DepthwiseInFloat32():
            answer = depthwise(given)
        rounded = depthwise(given)
    assert answer.dtype == torch.bfloat16
    assert torch.equal(answer, wanted)
    assert not torch.equal(rounded, wanted), "bfloat16 gives the same: this test could not fail"


def test_gradients_are_nearer_to_those_of_float32(depthwise: nn.Conv2d):
    other = copy.deepcopy(depthwise)
    wanted = gradient(copy.deepcopy(depthwise), image(torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = gradient(other, image(torch.float32))
        with DepthwiseInFloat32():
            found = gradient(depthwise, image(torch.float32))
    torch.testing.assert_close(found, wanted)
    assert (found - wanted).abs().max() < (rounded - wanted).abs().max()


@pytest.mark.parametrize("groups", [1, 2])
def test_other_convolutions_stay_in_mixed_precision(groups: int):
    convolution = nn.Conv2d(8, 8, 3, groups=groups)
    with torch.autocast("cpu", torch.bfloat16), DepthwiseInFloat32():
        assert convolution(image(torch.float32)).dtype == torch.bfloat16


def test_nothing_changes_without_mixed_precision(depthwise: nn.Conv2d):
    wanted = depthwise(image(torch.float32))
    with DepthwiseInFloat32():
        assert torch.equal(depthwise(image(torch.float32)), wanted)


def test_arguments_by_name_are_passed_on():
    with torch.autocast("cpu", torch.bfloat16), DepthwiseInFloat32():
        answer = torch.conv2d(input=image(torch.float32), weight=torch.ones(8, 1, 3, 3), groups=8)
    assert answer.shape == (2, 8, 14, 14)
