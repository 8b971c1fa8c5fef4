"""Masks on a small image, as the drafts of a task show them once they are accepted."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.backend.drawn_regions import brush

HEIGHT, WIDTH = 100, 200  # 1 percent is 2 pixels across and 1 down


def square(left: int, top: int, side: int = 40) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : top + side, left : left + side] = True
    return mask


ONE, TWO = square(20, 20), square(120, 20)


def region(
    number: str, mask: np.ndarray, label: str = "Cat", origin: str = "prediction", **meta: Any
) -> dict:
    meta = {"clicks": 1, "prompts": ["old"], "points": [[30.0, 30.0, 1]], **meta}
    return brush(number, mask, label, origin=origin, meta=meta)


def draft(*results: dict) -> dict[str, Any]:
    return {"drafts": [{"id": 1, "user": "a@example.com", "result": list(results)}]}
