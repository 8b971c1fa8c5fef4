"""A slimmer network's first weights, from those of the network that it shall replace.

Layers of one name and shape are copied. What is inside a thinned block of the encoder is chosen by optimal brain
surgeon (Hassibi and Stork, 1993), on what the blocks compute for real views: the channel that the block's output
needs least goes, those that stay take over its part, and so on. A click entry that became one convolution is fitted
by least squares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fine_tune.training.click_batch import ClickBatch, SceneSource
from model.networks.efficientnet_lite import InvertedResidual

PLACES = 16_000  # of a feature map that count, at most; neighbours tell the same
RIDGE = 1e-3  # of the mean variance


@dataclass
class Moments:
    """Sums over places: how many, of the C features, and of their CxC products; float64."""

    count: int = 0
    first: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    second: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))

    def add(self, features: Tensor) -> None:
        """Take in a BxCxHxW map."""
        rows = features.permute(0, 2, 3, 1).flatten(0, 2)
        rows = rows[:: max(len(rows) // PLACES, 1)].double()
        self.count += len(rows)
        self.first, self.second = self.first + rows.sum(0), self.second + rows.T @ rows

    def mean_and_covariance(self) -> tuple[Tensor, Tensor]:
        """Return C means, and CxC covariances with a small ridge, so that it can be inverted."""
        mean = self.first / self.count
        covariance = self.second / self.count - torch.outer(mean, mean)
        ridge = RIDGE * covariance.diagonal().mean() + 1e-12
        return mean, covariance + ridge * torch.eye(len(mean), dtype=torch.float64)


def inherit(network: nn.Module, parent: nn.Module, views: Iterable[tuple[Tensor, Tensor]]) -> list[str]:
    """Give a network what it can take over from its parent.

    Args:
        network: changed in place.
        parent: trained; both in evaluation mode.
        views: images (Bx3xHxW in 0..1) with guides, like those of training; hundreds make it better.

    Returns:
        Names of the parameters that found nothing to take over and keep their random weights.
    """
    theirs = parent.state_dict()
    ours = network.state_dict()
    copied = {name: value for name, value in theirs.items() if _fits(ours.get(name), value)}
    network.load_state_dict(copied, strict=False)
    thinned = list(_thinned(network, parent))
    entry = _Entry(network, parent)
    moments = [_watched(old) for _, _, old in thinned]
    with torch.inference_mode():
        for image, guide in views:
            parent(image, guide)
            entry.add(guide)
    done = set(copied)
    for (prefix, new, old), (seen, handle) in zip(thinned, moments, strict=True):
        handle.remove()
        thin(new, old, seen)
        done |= {prefix + name for name in new.state_dict()}
    done |= entry.fit()
    return [name for name, _ in network.named_parameters() if name not in done]


def thin(block: InvertedResidual, old: InvertedResidual, seen: Moments) -> None:
    """Fill a thinned block with the channels of the old one that matter most for its output.

    Args:
        seen: moments of what enters the old block's last convolution.
    """
    mean, covariance = seen.mean_and_covariance()
    layers: list[Any] = list(block.layers)
    sources: list[Any] = list(old.layers)
    projection, norm = sources[-2:]
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().double()
    weight = projection.weight.detach()[:, :, 0, 0].double() * scale[:, None]
    kept = surviving_channels(weight, covariance, _hidden(block))
    fitted = torch.linalg.solve(covariance[kept][:, kept], covariance[kept] @ weight.T).T
    shift = weight @ mean - fitted @ mean[kept]
    with torch.no_grad():
        for layer, source in zip(layers[:-2], sources[:-2], strict=True):
            layer.load_state_dict({k: v[kept] if v.dim() else v for k, v in source.state_dict().items()})
        layers[-2].weight.copy_((fitted / scale[:, None]).float()[:, :, None, None])
        layers[-1].load_state_dict(norm.state_dict())
        layers[-1].running_mean.sub_((shift / scale).float())


def surviving_channels(weight: Tensor, covariance: Tensor, count: int) -> Tensor:
    """Choose which input channels of a linear map to keep.

    Args:
        weight: OxC, the map; every output counts by its own variance.
        covariance: CxC of the inputs, invertible.

    Returns:
        `count` indices, ascending.
    """
    variance = ((weight @ covariance) * weight).sum(1)
    weight = weight / (variance + 0.01 * variance.mean()).sqrt()[:, None]
    inverse = torch.linalg.inv(covariance)
    alive = torch.ones(len(covariance), dtype=torch.bool)
    for _ in range(len(covariance) - count):
        loss = weight.square().sum(0) / inverse.diagonal().clamp(min=1e-30)
        worst = int(loss.masked_fill(~alive, torch.inf).argmin())
        share = inverse[:, worst] / inverse[worst, worst]
        weight.addr_(weight[:, worst].clone(), share, alpha=-1)  # the others take over
        inverse.addr_(share, inverse[worst].clone(), alpha=-1)
        alive[worst] = False
    return alive.nonzero()[:, 0]


def annotated_views(
    parent: nn.Module,
    scenes: SceneSource,
    batches: int = 16,
    batch: int = 8,
    sizes: tuple[int, ...] = (384, 256),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images and guides as `inherit` takes them, of annotations in progress that the parent answers."""
    annotated = [ClickBatch(scenes, batch, seed) for seed in range(len(sizes))]
    with ThreadPoolExecutor(1) as pool:
        for number in range(batches):
            clicks, size = annotated[number % len(sizes)], sizes[number % len(sizes)]
            image, guide, _ = clicks.views(size, pool)
            image = image.float() / 255
            yield image, guide
            with torch.inference_mode():
                answers = torch.sigmoid(parent(image, guide)[:, 0])
            clicks.take(answers.numpy(), pool)


class _Entry:
    """Fits a convolution to what the parent's click entry answers, where that has more layers."""

    def __init__(self, network: nn.Module, parent: nn.Module) -> None:
        self._new: Any = getattr(network, "entry", None)
        self._old: Any = getattr(parent, "entry", None)
        self._needed = isinstance(self._new, nn.Conv2d) and not isinstance(self._old, nn.Conv2d | None)
        self._products: tuple[Any, Any] = (0.0, 0.0)

    def add(self, guide: Tensor) -> None:
        """Take in one batch of guides, Bx3xHxW."""
        if not self._needed:
            return
        conv = self._new
        columns = F.unfold(guide, conv.kernel_size, padding=conv.padding, stride=conv.stride)
        rows = columns.transpose(1, 2).flatten(0, 1).double()
        rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], 1)
        answers = self._old(guide).flatten(2).transpose(1, 2).flatten(0, 1).double()
        self._products = (self._products[0] + rows.T @ rows, self._products[1] + rows.T @ answers)

    def fit(self) -> set[str]:
        """Set the convolution; returns the names of what was set."""
        if not self._needed:
            return set()
        squares, cross = self._products
        ridge = 1e-6 * squares.diagonal().mean() * torch.eye(len(squares), dtype=torch.float64)
        solution = torch.linalg.solve(squares + ridge, cross).T.float()
        with torch.no_grad():
            self._new.weight.copy_(solution[:, :-1].reshape(self._new.weight.shape))
            self._new.bias.copy_(solution[:, -1])
        return {"entry.weight", "entry.bias"}


def _fits(ours: Tensor | None, theirs: Tensor) -> bool:
    return ours is not None and ours.shape == theirs.shape


def _hidden(block: InvertedResidual) -> int:
    return int(block.layers[-2].weight.shape[1])  # type: ignore[union-attr,index]


def _thinned(
    network: nn.Module, parent: nn.Module
) -> Iterator[tuple[str, InvertedResidual, InvertedResidual]]:
    """Pairs of blocks of one name that differ in their hidden channels, with the prefix of their parameters."""
    old = dict(parent.named_modules())
    for name, block in network.named_modules():
        match = old.get(name)
        if (
            isinstance(block, InvertedResidual)
            and isinstance(match, InvertedResidual)
            and _hidden(block) != _hidden(match)
        ):
            yield f"{name}.", block, match


def _watched(block: InvertedResidual) -> tuple[Moments, Any]:
    """Moments that fill while the block computes, and the handle that ends it."""
    seen = Moments()
    projection = block.layers[-2]
    return seen, projection.register_forward_hook(lambda module, inputs, output: seen.add(inputs[0]))
