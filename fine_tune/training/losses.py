"""Losses on logits; pixels whose label is negative count nowhere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.errors import ClickmaskError


class DivergedError(ClickmaskError, FloatingPointError):
    """A loss is no number any more; the message says where."""


def normalized_focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the normalized focal loss of RITM (arXiv 2102.06583, after arXiv 1909.07829).

    The focal weights (1 - p_t)^2 are rescaled per image to a mean of 1, so that the gradient does not fade
    as the mask gets better.

    Args:
        logits: Bx1xHxW float.
        labels: Bx1xHxW float, 1 object, 0 background, negative for ignored pixels.

    Returns:
        The mean over images, a scalar.
    """
    logits = logits.float()
    counted = (labels >= 0).float()
    loss = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none") * counted
    with torch.no_grad():
        wrong = (torch.sigmoid(logits) - labels).abs()
        weight = wrong**2 * counted
        total = counted.sum((1, 2, 3), keepdim=True)
        weight *= total / weight.sum((1, 2, 3), keepdim=True).clamp(min=1e-6)
    return ((loss * weight).sum((1, 2, 3)) / total.flatten().clamp(min=1.0)).mean()


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean binary cross entropy over counted pixels; arguments as for `normalized_focal_loss`."""
    counted = (labels >= 0).float()
    loss = F.binary_cross_entropy_with_logits(logits.float(), labels.clamp(min=0), reduction="none")
    return (loss * counted).sum() / counted.sum().clamp(min=1.0)


def divergence(logits: Tensor, teacher: Tensor) -> Tensor:
    """Compute the mean Kullback-Leibler divergence of a network's probabilities from its teacher's, per pixel.

    No gradient reaches the teacher.

    Args:
        logits: of the network.
        teacher: logits of the teacher, of the same shape.
    """
    teacher = teacher.detach().float()
    target = torch.sigmoid(teacher)
    entropy = F.binary_cross_entropy_with_logits(teacher, target)
    return F.binary_cross_entropy_with_logits(logits.float(), target) - entropy
