"""The encoder of the default network."""

import torch

from model.networks.efficientnet_lite import Depthwise


def test_a_depthwise_convolution_learns_in_float32_under_autocast():
    torch.manual_seed(0)
    layer = Depthwise(8, 8, 5, padding=2, groups=8, bias=False)
    image = torch.randn(2, 8, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(image.bfloat16())
    mixed.float().square().mean().backward()
    gradient, layer.weight.grad = layer.weight.grad.clone(), None
    layer(image.bfloat16().float()).square().mean().backward()
    assert mixed.dtype == torch.bfloat16  # the next layer gets what it would have got
    torch.testing.assert_close(gradient, layer.weight.grad, rtol=0.01, atol=1e-4)
