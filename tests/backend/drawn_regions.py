"""Regions with masks, as Label Studio keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.label_studio.mask_formats import rle


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """A mask of a 200x100 image, HxW bool: a box, in pixels, ends exclusive."""
    mask = np.zeros((100, 200), bool)
    mask[top:bottom, left:right] = True
    return mask


def brush(number: str, mask: np.ndarray, label: str = "Cat", **more: Any) -> dict[str, Any]:
    """A region of BrushLabels; `mask` is HxW bool, further arguments are fields of the region."""
    return {
        "id": number,
        "type": "brushlabels",
        "from_name": "brush",
        "to_name": "image",
        "original_width": mask.shape[1],
        "original_height": mask.shape[0],
        "image_rotation": 0,
        "origin": "manual",
        "value": {"format": "rle", "rle": list(rle.encode(mask)), "brushlabels": [label]},
        **more,
    }


def stroke(kind: str, *points: float, across: float = 10) -> dict[str, Any]:
    """A stroke of the editor's brush ("add") or "eraser": x and y by turns, and its width, in percent."""
    return {"type": kind, "relativePoints": list(points), "relativeStrokeWidth": across, "points": [1, 2]}


def faint(code: list[int]) -> list[int]:
    """The same mask with alpha 100: the values of runs are all that is 255 in it, eight bits each."""
    bits = "".join(f"{value:08b}" for value in code)
    out, at = bits[:53], 53
    while at + 3 < len(bits) and len(bits) - at >= 14:
        size = (3, 4, 8, 16)[int(bits[at + 1 : at + 3], 2)]
        head, value = bits[at : at + 3 + size], int(bits[at + 3 + size : at + 11 + size], 2)
        out += head + f"{100 if value else 0:08b}"
        at += 11 + size
    out += "0" * (-len(out) % 8)
    return list(int(out, 2).to_bytes(len(out) // 8, "big"))
