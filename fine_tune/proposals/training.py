"""Train the head for proposals on images whose annotation is complete: what is not annotated there is background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fine_tune.data.encoded_image import EncodedImage
from fine_tune.data.lazy_sequence import LazySequence
from model.mask_ops import depth_of
from model.proposals.head import STRIDE, Head, HeatMaps, channels, encode, shrink

TYPICAL = 32.0  # input pixels that the median object's size is scaled to
SCALES = (0.25, 4.0)
CROP = 16  # cells of stride 16: the side of a training crop
BATCH = 4
STEPS = 250
MIRRORED = 20  # images up to which each one is mirrored, too: more of them show enough
RATE = 2e-3
SIZE_WEIGHT = 0.1


@dataclass(frozen=True)
class CompleteImage:
    """An image with all its objects.

    Attributes:
        image: HxWx3 uint8 RGB.
        masks: HxW bool each.
        labels: index of every mask's label.
        ignore: HxW bool, pixels that count nowhere; None for none.
    """

    image: np.ndarray
    masks: Sequence[np.ndarray]
    labels: Sequence[int]
    ignore: np.ndarray | None = None

    @staticmethod
    def of(image: EncodedImage, names: Sequence[str]) -> CompleteImage:
        """Decode an image of a project; each mask only when it is asked for, as there may be hundreds.

        Args:
            names: of the labels; objects with other ones count as unlabelled parts of the image that teach nothing,
                and so do those that are too small to have a mask.

        Raises:
            ValueError: the bytes are damaged.
        """
        pixels, _ = image.decode()
        masks = LazySequence(range(len(image.masks)), lambda index: image.decode_mask(index) > 0)
        known, ignore = list[int](), image.decode_specks()
        for place, label in enumerate(image.labels):
            if label in names:
                known.append(place)
            else:
                ignore = masks[place] if ignore is None else ignore | masks[place]
        places = [names.index(image.labels[place]) for place in known]
        return CompleteImage(pixels, LazySequence(known, masks.__getitem__), places, ignore)


@dataclass(frozen=True)
class _Example:
    """Features of three strides (coarsest first, CxHxW), and the target at stride 4: heat L, size, weight."""

    features: list[Tensor]
    heat: Tensor
    size: Tensor
    weight: Tensor


def train_head(
    network: nn.Module,
    images: Sequence[CompleteImage],
    labels: int,
    steps: int = STEPS,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> HeatMaps:
    """Train a head on a network's encoder, which stays as it is.

    Args:
        images: completely annotated; also those without objects. Each is asked for twice, to be let go at once.
        labels: how many there are.
        on_step: called with (steps done, steps in all); what it raises ends the training.

    Raises:
        ValueError: no image has an object.
        UnsupportedNetwork: the network has no suitable encoder.
    """
    sizes = [np.sqrt(np.count_nonzero(mask)) for image in images for mask in image.masks if mask.any()]
    if not sizes:
        raise ValueError("no object on any of the images: annotate some before a head is trained")
    scale = float(np.clip(TYPICAL / np.median(sizes), *SCALES))
    with torch.random.fork_rng(devices=[]):  # the same head from the same images
        torch.manual_seed(0)
        head = Head(channels(network), labels)
    network.eval()
    flips = (False, True) if len(images) <= MIRRORED else (False,)
    examples = [_example(network, image, labels, scale, flip) for image in images for flip in flips]
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    rng = np.random.default_rng(0)
    head.train()
    for step in range(steps):
        drawn = [_crop(examples[rng.integers(len(examples))], rng) for _ in range(BATCH)]
        logits, size = head([torch.stack([d.features[i] for d in drawn]).float() for i in range(3)])
        heat, weight = (torch.stack([getattr(d, key) for d in drawn]) for key in ("heat", "weight"))
        loss = focal_loss(logits, heat, weight) + SIZE_WEIGHT * _size_loss(
            size, torch.stack([d.size for d in drawn]), heat
        )
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        on_step(step + 1, steps)
    return HeatMaps(network, head, scale)


def focal_loss(logits: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """Compute the loss of CenterNet for a heat map, BxLxhxw each (weight Bx1xhxw), per object."""
    right = heat >= 1
    chance = logits.sigmoid()
    hit = F.logsigmoid(logits) * (1 - chance) ** 2 * right
    miss = F.logsigmoid(-logits) * chance**2 * (1 - heat) ** 4 * ~right
    return -((hit + miss) * weight).sum() / right.sum().clamp(min=1)


def _size_loss(size: Tensor, target: Tensor, heat: Tensor) -> Tensor:
    at = (heat.amax(1, keepdim=True) > 0.5).float()
    return ((size - target).abs() * at).sum() / at.sum().clamp(min=1)


def _example(network: nn.Module, image: CompleteImage, labels: int, scale: float, flip: bool) -> _Example:
    turn = (lambda a: np.ascontiguousarray(a[:, ::-1])) if flip else (lambda a: a)
    seen, factors = shrink(turn(image.image), scale)
    features = [level[0].half() for level in encode(network, seen)[::-1]]  # many images are kept at once
    cells = features[-1].shape[-2:]
    heat, size = np.zeros((labels, *cells), np.float32), np.zeros(cells, np.float32)
    nearest = np.zeros(cells, np.float32)
    ys, xs = np.mgrid[: cells[0], : cells[1]]
    for mask, label in zip(image.masks, image.labels, strict=True):
        depth = depth_of(turn(mask))
        if depth.max() <= 0:
            continue
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        y, x = int((row + 0.5) * factors[1] / STRIDE), int((column + 0.5) * factors[0] / STRIDE)
        spread = max(float(depth.max()) * factors[0] / STRIDE / 3, 0.7)
        near = np.exp(-((ys - y) ** 2 + (xs - x) ** 2) / (2 * spread**2)).astype(np.float32)
        heat[label] = np.maximum(heat[label], near)
        own = near > nearest
        wide = np.sqrt(np.count_nonzero(mask) * factors[0] * factors[1]) / STRIDE
        size[own], nearest[own] = np.log2(max(wide, 1.0)), near[own]
    weight = np.zeros(cells, np.float32)  # padding teaches nothing
    weight[: -(-seen.shape[0] // STRIDE), : -(-seen.shape[1] // STRIDE)] = 1
    if image.ignore is not None:
        undecided = np.zeros(cells, bool)
        pixels = np.argwhere(turn(image.ignore))  # one by one, as a cell may be larger than a speck
        undecided[tuple(((pixels + 0.5) * factors[::-1] / STRIDE).astype(int).T)] = True
        weight[undecided & (heat.max(0) < 1)] = 0  # an object's centre counts all the same
    return _Example(
        features, torch.from_numpy(heat), torch.from_numpy(size)[None], torch.from_numpy(weight)[None]
    )


def _crop(example: _Example, rng: np.random.Generator) -> _Example:
    """Cut the same square out of all levels; smaller images are padded, and the padding teaches nothing."""
    rows, cols = example.features[0].shape[-2:]
    top, left = (int(rng.integers(max(side - CROP, 0) + 1)) for side in (rows, cols))

    def cut(level: Tensor, factor: int) -> Tensor:
        side = CROP * factor
        part = level[:, top * factor : top * factor + side, left * factor : left * factor + side]
        return F.pad(part, (0, side - part.shape[2], 0, side - part.shape[1]))

    features = [cut(level, factor) for level, factor in zip(example.features, (1, 2, 4), strict=True)]
    return _Example(features, cut(example.heat, 4), cut(example.size, 4), cut(example.weight, 4))
