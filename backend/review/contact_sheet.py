"""Draws rated objects for the contact sheet: image, mask, and the clicks that made it."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.images.store import ImageStore
from backend.label_studio.label_config import LabelConfig
from backend.review.ranking import RatedObject
from fine_tune.figures import Panel
from model.click import Click


def panel(entry: RatedObject, data: dict[str, Any], config: str, images: ImageStore) -> Panel:
    """Draw an object.

    Args:
        data: of its task.
        config: the project's labeling config.

    Raises:
        ImageError, ValueError: the image cannot be had, or is another one than was annotated.
    """
    region = entry.matched.accepted.regions[0]
    url = LabelConfig.parse(config, data).image(region.to_name).url(data, region.item_index)
    image = images.get(url, entry.task).pixels
    mask = entry.matched.accepted.mask()
    if mask.shape != image.shape[:2]:
        raise ValueError(
            f"the image is {image.shape[1]}x{image.shape[0]}, its mask {mask.shape[1]}x{mask.shape[0]}"
        )
    side = float(np.sqrt(mask.size))
    points = entry.matched.history.events[-1].points if entry.matched.history else ()
    clicks = [Click(x * side, y * side, bool(positive)) for x, y, positive in points]
    title = f"task {entry.task}, {entry.label}: {entry.quality.iou:.2f}\n{', '.join(entry.reasons[:2])}"
    return Panel(title, image, np.zeros_like(mask), mask, clicks)
