"""Depthwise convolutions in float32 within mixed precision on a CPU.

oneDNN has no fast gradient of a depthwise convolution in bfloat16: on an Intel Xeon with AMX those of 5x5 and of
stride 2 took 4 to 9 times as long as in float32, and more than half of a training step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class DepthwiseInFloat32(TorchFunctionMode):
    """Computes 2D convolutions with one channel a group in float32 where autocast would take bfloat16.

    A context, of one thread, around the forward pass; the gradients follow it. Answers keep the type of the input.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, the convolutions in question without autocast."""
        options = options or {}
        if function is not torch.conv2d or len(arguments) < 2 or not _is_depthwise(arguments[1]):
            return function(*arguments, **options)
        image, *rest = arguments
        with torch.autocast("cpu", enabled=False):
            answer = function(image.float(), *rest, **options)
        return answer.to(image.dtype)


def _is_depthwise(weight: Tensor) -> bool:
    return weight.shape[0] > 1 and weight.shape[1] == 1 and weight.device.type == "cpu"
