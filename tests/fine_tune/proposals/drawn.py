"""Drawn scenes in which the right proposals are known: reddish discs are objects, greenish squares are not."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fine_tune.proposals.training import CompleteImage

SIDE = 160


def discs(seed: int, count: int = 5) -> CompleteImage:
    """Draw `count` discs and as many squares, none of which touch, on noise."""
    rng = np.random.default_rng(seed)
    image = rng.normal(120, 6, (SIDE, SIDE, 3)).astype(np.float32)
    cells = rng.permutation(16)[: 2 * count]
    masks = []
    for place, cell in enumerate(cells):
        y, x = (int(v) * 40 + 20 + int(rng.integers(-3, 4)) for v in divmod(int(cell), 4))
        radius, mask = int(rng.integers(9, 14)), np.zeros((SIDE, SIDE), np.uint8)
        if place < count:
            cv2.circle(mask, (x, y), radius, 1, -1)
            masks.append(mask > 0)
            image[mask > 0] = (200, 60, 50)
        else:
            cv2.rectangle(mask, (x - radius, y - radius), (x + radius, y + radius), 1, -1)
            image[mask > 0] = (60, 170, 70)
    noisy = image + rng.normal(0, 4, image.shape)
    return CompleteImage(noisy.clip(0, 255).astype(np.uint8), masks, [0] * len(masks))


def shuffled(images: Sequence[CompleteImage]) -> list[CompleteImage]:
    """Give every image the masks of the next one."""
    others = [*images[1:], images[0]]
    return [CompleteImage(i.image, o.masks, o.labels) for i, o in zip(images, others, strict=True)]
