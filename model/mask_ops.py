"""Operations on masks that everybody shares: bounding box, IoU, distance to the edge."""

from __future__ import annotations

import cv2
import numpy as np

THRESHOLD = 128  # of a map of round(255 p): p >= 0.5


def object_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """Find the box around the true pixels of a mask.

    Args:
        mask: HxW bool or uint8.

    Returns:
        x0, y0, x1, y1 in pixels, ends exclusive; None where no pixel is true.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (x, y, x + width, y + height) if width else None


def iou(one: np.ndarray, other: np.ndarray, ignore: np.ndarray | None = None) -> float:
    """Compute the intersection over union of two masks.

    Args:
        one, other: HxW bool.
        ignore: HxW bool, pixels that count nowhere; None for none.

    Returns:
        0..1; 1 where both masks are empty.
    """
    both, either = one & other, one | other
    if ignore is not None:
        both &= ~ignore
        either &= ~ignore
    union = np.count_nonzero(either)
    return float(np.count_nonzero(both) / union) if union else 1.0


def depth_of(region: np.ndarray) -> np.ndarray:
    """Compute the exact Euclidean distance of every true pixel to the nearest one that is not true.

    The border of the image counts as an edge: the image is taken as surrounded by false pixels.

    Args:
        region: HxW bool.

    Returns:
        HxW float32 in pixels; 0 where `region` is false.
    """
    depth = np.zeros(region.shape, np.float32)
    box = object_box(region)
    if box is not None:  # outside the box nothing can be nearer than the frame around it
        part = np.s_[box[1] : box[3], box[0] : box[2]]
        padded = np.pad(region[part].view(np.uint8), 1)
        found = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        # Some CPUs are off by a bit, another one at every place, so that equal depths would differ.
        depth[part] = np.sqrt(np.rint(found * found))
    return depth
