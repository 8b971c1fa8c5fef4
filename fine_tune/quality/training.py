"""Fits the quality model to simulated annotations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from fine_tune.quality.dataset import BAD, Record
from fine_tune.quality.network import Batch, Member, QualityModel, Trace
from fine_tune.quality.simulated_annotation import prefixes

PREFIX_WEIGHT = 0.3  # of a beginning of an annotation, beside a finished one
ERROR_WEIGHT = 20.0  # of the absolute error of the mean, beside the likelihood of the concentration
BAD_WEIGHT = 8.0  # of telling good masks from bad ones
STEEPNESS = 12.0  # of the curve that turns a mean IoU into the chance of a good mask
MARGIN = 0.005  # IoUs of exactly 0 and 1 have no likelihood under a Beta distribution


def examples(records: Sequence[Record]) -> tuple[list[Trace], Tensor, Tensor]:
    """List the finished annotations and their beginnings: traces, IoUs (float32) and weights (float32)."""
    traces, ious, weights = [], [], []
    for record in records:
        traces.append(record.trace)
        ious.append(record.annotation.iou)
        weights.append(1.0)
        for steps, iou in prefixes(record.annotation):
            traces.append(Trace(steps, proposed=record.annotation.proposed))
            ious.append(iou)
            weights.append(PREFIX_WEIGHT)
    return traces, torch.tensor(ious), torch.tensor(weights)


def fit(
    records: Sequence[Record], members: int = 4, epochs: int = 25, trees: int = 400, seed: int = 0
) -> QualityModel:
    """Train a model; every member starts elsewhere and sees other images. Needs scikit-learn.

    Raises:
        ValueError: fewer than 50 records.
    """
    if len(records) < 50:
        raise ValueError(f"{len(records)} annotations are too few to learn from: simulate at least 50")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = QualityModel(members, trees=trees)
    traces, ious, weights = examples(records)
    batch = Batch.of(traces)
    model.trees.grow(batch.whole.numpy(), ious.numpy(), weights.numpy(), seed)
    model.fit_scale(batch)
    batch = model.standardised(batch)
    subjects = [record.subject for record in records for _ in record.annotation.steps]
    for member in model.members:
        chosen = _resampled(subjects, rng)
        assert isinstance(member, Member)
        _fit_member(member, batch[chosen], ious[chosen], weights[chosen], epochs)
    return model.eval()


def _resampled(subjects: Sequence[str], rng: np.random.Generator) -> Tensor:
    """Draw indices of examples: those of nine tenths of the images."""
    names = sorted(set(subjects))
    kept = {name for name in names if rng.random() < 0.9}
    return torch.tensor([index for index, name in enumerate(subjects) if name in kept])


def _fit_member(member: Member, batch: Batch, ious: Tensor, weights: Tensor, epochs: int) -> None:
    size = 256
    optimizer = torch.optim.AdamW(member.parameters(), 3e-3, weight_decay=1e-2)
    steps = epochs * (-(-len(ious) // size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    member.train()
    for _ in range(epochs):
        for part in torch.randperm(len(ious)).split(size):
            mean, concentration = member(*_arguments(batch[part]))
            loss = (weights[part] * _loss(mean, concentration, ious[part])).sum() / weights[part].sum()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(member.parameters(), 1.0)
            optimizer.step()
            schedule.step()


def _arguments(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    return batch.steps, batch.lengths, batch.whole


def _loss(mean: Tensor, concentration: Tensor, ious: Tensor) -> Tensor:
    """Compute the loss: the mean learns from what ranking lives from, the concentration from the likelihood alone.

    The likelihood would bend the mean towards few annotations that nothing gives away, such as those of the wrong
    object drawn with care; the absolute error does not.
    """
    settled = mean.detach()
    beta = torch.distributions.Beta(settled * concentration, (1 - settled) * concentration)
    good = binary_cross_entropy_with_logits(STEEPNESS * (mean - BAD), (ious >= BAD).float(), reduction="none")
    surprise = -beta.log_prob(ious.clamp(MARGIN, 1 - MARGIN))
    return surprise + ERROR_WEIGHT * (mean - ious).abs() + BAD_WEIGHT * good
