"""Decides which alpha values of a stored mask belong to it: those that the editor shows."""

from __future__ import annotations

import numpy as np

HALF = 128
_FLAT = 0.05  # of a mask's pixels: so many of one value were painted so, and are no soft edge
_FEW = 16  # pixels


def lowest(counts: np.ndarray) -> int:
    """Return the lowest alpha, 1 to 255, that belongs to a mask.

    Normally one half: the editor's brush and eraser leave soft edges. A mask that is painted, wholly or in parts,
    with a fainter brush, as other tools do, is shown as well.

    Args:
        counts: how many pixels have each value, 256 numbers.
    """
    faint = np.flatnonzero(counts[1:HALF] >= max(_FEW, _FLAT * counts[1:].sum())) + 1
    if faint.size:
        return int(faint[0])
    if counts[HALF:].any():
        return HALF
    present = np.flatnonzero(counts[1:]) + 1
    return (int(present[-1]) + 1) // 2 if present.size else HALF
