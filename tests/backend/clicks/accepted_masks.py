"""Masks on a small image, as the drafts of a task show them once they are accepted."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.label_studio.mask_formats import rle

HEIGHT, WIDTH = 100, 200  # 1 percent is 2 pixels across and 1 down


def square(left: int, top: int, side: int = 40) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : top + side, left : left + side] = True
    return mask


ONE, TWO = square(20, 20), square(120, 20)


def region(
    number: str, mask: np.ndarray, label: str = "Cat", origin: str = "prediction", **meta: Any
) -> dict:
    return {
        "id": number,
        "type": "brushlabels",
        "from_name": "brush",
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "origin": origin,
        "value": {"format": "rle", "rle": list(rle.encode(mask)), "brushlabels": [label]},
        "meta": {"clicks": 1, "prompts": ["old"], "points": [[30.0, 30.0, 1]], **meta},
    }


def draft(*results: dict) -> dict[str, Any]:
    return {"drafts": [{"id": 1, "user": "a@example.com", "result": list(results)}]}
