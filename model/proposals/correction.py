"""What the correction of a proposal begins with.

A mask that nobody has clicked is a guess, most of all at its edge. Shown a map that is sure of every pixel, the
network changes little more than what lies under the click; what a softened one saves is in docs/trials/proposals.md.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from model.mask_ops import THRESHOLD, depth_of, object_box

# Standard deviation of the blur, in depths of the mask: three quarters sure in a disk's middle.
SOFTNESS = 0.6
SHRUNK = 4  # pixels of the blur that are left: a wider one is made on a smaller picture


def soften(mask: np.ndarray) -> np.ndarray:
    """Make a map that is surer of the middle of a mask than of its edge, and whose object is the mask.

    Args:
        mask: HxW bool.

    Returns:
        HxW uint8, object from 128.
    """
    result, box = np.zeros(mask.shape, np.uint8), object_box(mask)
    if box is None:
        return result
    x0, y0, x1, y1 = box
    sigma = SOFTNESS * float(depth_of(mask[y0:y1, x0:x1]).max())
    margin = math.ceil(3 * sigma)
    part = slice(max(y0 - margin, 0), y1 + margin), slice(max(x0 - margin, 0), x1 + margin)
    inside = mask[part]
    factor = max(int(sigma / SHRUNK), 1)
    small = cv2.resize(
        inside.astype(np.uint8) * 255, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA
    )
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    soft = cv2.resize(blurred, inside.shape[::-1], interpolation=cv2.INTER_LINEAR)
    # More than THRESHOLD alone, which stands for the undecided inside of a box.
    result[part] = np.where(inside, np.maximum(soft, THRESHOLD + 1), np.minimum(soft, THRESHOLD - 1))
    return result
