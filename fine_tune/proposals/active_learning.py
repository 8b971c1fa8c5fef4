"""Active learning: the image whose annotation is expected to teach most comes next, and no two alike in a row."""

from __future__ import annotations

import numpy as np

from model.inference.domain import FARTHEST, distances

DOUBT = 1.0  # what a model in full doubt weighs against an image as far from the known ones as everyday things are


def query_order(descriptions: np.ndarray, known: np.ndarray, doubts: np.ndarray) -> list[tuple[int, float]]:
    """Order images by how much their annotation is expected to teach.

    An image is worth more the farther it is from those that are known or were chosen before it (Gonzalez 1985), and
    the more the model doubts what it proposes there.

    Args:
        descriptions: NxD, see `model.inference.domain.describe`.
        known: MxD of images that were learned from; M may be 0.
        doubts: N values in 0..1.

    Returns:
        Pairs of place and worth (0 or more), the most valuable first.
    """
    gaps = np.full(len(descriptions), FARTHEST)
    for place in range(len(known)):
        gaps = np.minimum(gaps, distances(descriptions, known[place : place + 1])[:, 0])
    order, left = [], np.ones(len(descriptions), bool)
    for _ in range(len(descriptions)):
        worth = np.where(left, gaps / FARTHEST + DOUBT * doubts, -1.0)
        best = int(worth.argmax())
        order.append((best, float(worth[best])))
        left[best] = False
        gaps = np.minimum(gaps, distances(descriptions, descriptions[best : best + 1])[:, 0])
    return order
