"""Make a network quick to answer with: a copy with batch norms folded away and weights in one precision.

Autocast does the same anew at every pass: it casts all weights each time, and batch norms stay operations of their
own, which on a GPU cost about as much as the convolutions of a small network.
"""

from __future__ import annotations

import copy
import logging
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_weights

from model.engines.base import Probability

TOLERANCE = 1e-3  # of the largest logit: what folding may change by rounding

logger = logging.getLogger(__name__)


def freeze(network: nn.Module, size: int, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Copy a network for inference on a device; the caller's network stays where and as it is.

    Args:
        network: see `model.networks` for its shapes.
        size: side of the square input in pixels.
        device: where the copy goes.
        dtype: what convolutions and linear layers compute in.

    Returns:
        A module as `Probability`, in evaluation mode, channels last.
    """
    frozen = copy.deepcopy(network).eval().requires_grad_(False).to(device)
    generator = torch.Generator().manual_seed(0)
    example = tuple(torch.rand(1, 3, size, size, generator=generator).to(device) for _ in range(2))
    with torch.inference_mode(False), torch.no_grad():
        frozen = fold_batch_norms(frozen, example)
        if dtype != torch.float32:
            _convert(frozen, dtype)
    model = Probability(frozen) if dtype == torch.float32 else _HalfProbability(frozen, dtype)
    return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def fold_batch_norms(network: nn.Module, example: tuple[Tensor, ...]) -> nn.Module:
    """Fold each batch norm into the convolution whose output it gets; the network is changed.

    Which belongs to which is seen in one run of an example. Where the result does not answer as before, because an
    output goes another way, too, the network is returned as it was.

    Args:
        network: in evaluation mode.
        example: arguments of its `forward`.
    """
    pairs, before = _pairs(network, example)
    if not pairs:
        return network
    folded = copy.deepcopy(network)
    names = {module: name for name, module in network.named_modules()}
    for conv, norm in pairs:
        _fold(folded.get_submodule(names[conv]), folded, names[norm])
    after = folded(*example)
    off = float((after - before).abs().max() / before.abs().max().clamp(min=1.0))
    if not off <= TOLERANCE:  # or not a number
        logger.warning("batch norms are not folded: the answer would change by %.2g", off)
        return network
    return folded


def _pairs(
    network: nn.Module, example: tuple[Tensor, ...]
) -> tuple[list[tuple[nn.Module, nn.BatchNorm2d]], Tensor]:
    """Run an example; return the convolutions with the batch norms behind them, and the answer."""
    outputs: dict[int, tuple[nn.Module, Tensor]] = {}  # kept until the end, so that no address is used twice
    found: list[tuple[nn.Module, nn.BatchNorm2d]] = []
    runs: Counter[nn.Module] = Counter()

    def after_conv(module: nn.Module, _: Any, output: Tensor) -> None:
        runs[module] += 1
        outputs[id(output)] = module, output

    def before_norm(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        runs[module] += 1
        if id(args[0]) in outputs and isinstance(module, nn.BatchNorm2d):
            found.append((outputs[id(args[0])][0], module))

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(after_conv))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(before_norm))
    answer = network(*example)
    for hook in hooks:
        hook.remove()
    shared = Counter(conv for conv, _ in found)
    once = [(conv, norm) for conv, norm in found if runs[conv] == runs[norm] == shared[conv] == 1]
    return once, answer


def _fold(conv: nn.Module, network: nn.Module, name: str) -> None:
    """Give a convolution the work of the batch norm `name`, which becomes the identity."""
    norm = network.get_submodule(name)
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d), "they were found so"
    assert norm.running_mean is not None and norm.running_var is not None, "in evaluation mode it has them"
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.weight.requires_grad_(False)
    conv.bias.requires_grad_(False)
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())


def _convert(network: nn.Module, dtype: torch.dtype) -> None:
    """Let convolutions and linear layers compute in `dtype`; layer and group norms as before, whatever comes in."""
    for module in network.modules():
        if isinstance(module, _ConvNd | nn.Linear):
            module.to(dtype)
            module.register_forward_pre_hook(_as_weights)
        elif isinstance(module, nn.LayerNorm | nn.GroupNorm):
            module.register_forward_pre_hook(_as_weights)


def _as_weights(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (args[0].to(module.weight.dtype), *args[1:])  # type: ignore[arg-type]


class _HalfProbability(Probability):
    """As `Probability`, for a network that computes in half precision; pixels are normalised in float32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__(network)
        self.dtype = dtype

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """See `Probability.forward`."""
        return super().forward(image, guide.to(self.dtype))
