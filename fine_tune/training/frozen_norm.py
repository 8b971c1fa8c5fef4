"""Batch norms whose statistics are frozen, folded into the convolutions before them while training goes on.

With frozen statistics a batch norm is a scale and a shift of each channel, which the convolution can do: it saves two
passes over every activation, there and back. Weights, scales and shifts keep their places and are trained as before.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn


def fold_frozen_norms(network: nn.Module) -> int:
    """Let every convolution that a batch norm follows in an `nn.Sequential` do the work of both, in place.

    Args:
        network: its batch norms must stay in evaluation mode from now on. Parameters and state dict do not change.

    Returns:
        How many batch norms are folded.
    """
    pairs = [
        (one, other)
        for module in network.modules()
        if isinstance(module, nn.Sequential)
        for one, other in pairwise(module)
        if isinstance(one, nn.Conv2d) and isinstance(other, nn.BatchNorm2d) and other.affine
    ]
    for convolution, norm in pairs:
        convolution.forward = partial(_convolve, convolution, norm)  # type: ignore[method-assign]
        norm.forward = _pass_on  # type: ignore[assignment]
    return len(pairs)


def unfold_norms(network: nn.Module) -> None:
    """Undo `fold_frozen_norms`."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.__dict__.pop("forward", None)


def agrees(network: nn.Module, *inputs: Tensor) -> bool:
    """Tell whether a network that is folded answers as it does unfolded.

    One that does something between a convolution of a sequence and its norm does not; it is left unfolded.
    """
    with torch.no_grad():
        folded = network(*inputs).float()
        unfold_norms(network)
        plain = network(*inputs).float()
    if torch.allclose(folded, plain, rtol=0.02, atol=0.02 * float(plain.abs().max())):
        fold_frozen_norms(network)
        return True
    return False


def _convolve(convolution: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    assert norm.running_mean is not None and norm.running_var is not None, "it has statistics"
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    return convolution._conv_forward(x, convolution.weight * scale[:, None, None, None], shift)


def _pass_on(x: Tensor) -> Tensor:
    return x
