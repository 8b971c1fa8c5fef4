"""Data parallelism in one process: every CPU core learns from a part of the batch.

The threads of one operation wait for each other in each of a thousand operations a step, and burn the core that the
other one needs where more than training runs: a step then takes ten times as long. Lanes wait once a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

Loss = Callable[..., tuple[Tensor, Tensor]]  # the parts of a batch -> loss (a mean over it) and logits


class Lanes:
    """Threads that each compute with one core; a context, in which the calling thread does so, too.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count, self._threads = count, torch.get_num_threads()
        self._pool = ThreadPoolExecutor(count, "lane", initializer=torch.set_num_threads, initargs=(1,))

    def __enter__(self) -> Lanes:
        torch.set_num_threads(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        torch.set_num_threads(self._threads)

    def backward(
        self, parameters: Sequence[nn.Parameter], loss: Loss, *batch: Tensor
    ) -> tuple[float, Tensor]:
        """Add the gradients of a batch to the parameters'.

        Args:
            loss: called with parts of the batch, in several threads at once.
            batch: tensors of one length.

        Returns:
            The loss, and the logits in the order of the batch, detached.
        """
        total = len(batch[0])
        parts = list(zip(*(tensor.chunk(self._count) for tensor in batch), strict=True))

        def learn(part: tuple[Tensor, ...]) -> tuple[float, Tensor, tuple[Tensor | None, ...]]:
            value, logits = loss(*part)
            value = value * (len(part[0]) / total)
            grads = torch.autograd.grad(value, parameters, allow_unused=True)
            return float(value.detach()), logits.detach(), grads

        found = list(self._pool.map(learn, parts))
        for parameter, *grads in zip(parameters, *(grads for _, _, grads in found), strict=True):
            for grad in grads:
                if grad is not None:
                    parameter.grad = grad if parameter.grad is None else parameter.grad.add_(grad)
        return sum(value for value, _, _ in found), torch.cat([logits for _, logits, _ in found])
