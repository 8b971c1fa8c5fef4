"""A project in a real Label Studio that teaches something: drawn cells, annotated by an automatic annotator."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import connect, label_config
from backend.settings import Settings
from model.click import Click
from model.evaluation.clicker import next_click
from tests.backend.running_app import png
from tests.e2e.photos import iou
from tests.label_studio_calls import create_annotation, import_photo, mask_of, prompt, send_prompts

LABEL = "Cell"
SIDE, CELLS = 256, 4
GOOD, MOST = 0.9, 12  # IoU that the annotator wants, and clicks until he gives up


def cells(
    seed: int, count: int = CELLS, radii: tuple[int, int] = (12, 26), contrast: float = 45, apart: int = 15
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw cells whose dark heart is easily taken for the whole; HxWx3 uint8, and HxW bool for each.

    Args:
        radii: smallest and largest, in pixels.
        contrast: of the hearts, in grey levels.
        apart: pixels between two cells.
    """
    rng = np.random.default_rng(seed)

    def grain(size: float, strength: float) -> np.ndarray:
        noise = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), size)
        return noise / noise.std() * strength

    image = 110 + grain(20, 14) + grain(3, 9)
    masks: list[np.ndarray] = []
    around, within = np.ones((2 * apart + 1,) * 2, np.uint8), 2 * (radii[0] // 2) + 1
    while len(masks) < count:
        mask = np.zeros((SIDE, SIDE), np.uint8)
        centre, axes = rng.integers(28, SIDE - 28, 2).tolist(), rng.integers(*radii, 2).tolist()
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        if any((cv2.dilate(mask, around) > 0)[other].any() for other in masks):
            continue
        heart = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (within, within))) > 0
        masks.append(mask > 0)
        image[masks[-1]] += (grain(1.2, 16) + 10)[masks[-1]]
        image[heart] -= contrast
    soft = cv2.GaussianBlur(image + rng.normal(0, 5, image.shape), (0, 0), 0.7)
    return np.repeat(soft.clip(0, 255).astype(np.uint8)[..., None], 3, 2), masks


class DrawnProject:
    """A project of drawn cells.

    Args:
        client: of its Label Studio.
        url, settings: of the backend, which is connected.
        images: how many there are.
    """

    def __init__(self, client: LabelStudio, url: str, settings: Settings, images: int) -> None:
        self._client = client
        self.id = int(client.create_project(title="Drawn cells", label_config=label_config([LABEL]))["id"])
        for seed in range(images):
            import_photo(client, self.id, png(cells(seed)[0]), f"cells-{seed}.png")
        connect(client, self.id, url, settings)
        self._tasks = sorted(task["id"] for task in client.tasks(self.id))

    def annotate(self, first: int, last: int) -> None:
        """Click all cells of the images from `first` to before `last`, and submit them."""
        for seed in range(first, last):
            results: list[dict[str, Any]] = []
            for truth in cells(seed)[1]:
                results += self._click(self._tasks[seed], truth)
            create_annotation(self._client, self._tasks[seed], results)

    def _click(self, task: int, truth: np.ndarray) -> list[dict[str, Any]]:
        """Click one cell until its mask is good; returns the regions of the last answer."""
        mask, clicks, prompts, regions = np.zeros_like(truth), [], [], []
        while len(clicks) < MOST and iou(mask, truth) < GOOD:
            click = next_click(truth, mask, clicks)
            if click is None:
                break
            clicks.append(click)
            prompts += _prompt(click)
            regions = send_prompts(self._client, self.id, task, prompts)["result"]
            mask = mask_of(regions, truth.shape)
        return regions


def _prompt(click: Click) -> list[dict[str, Any]]:
    """What the editor sends for a click: the point, and the label of its row."""
    point = {**prompt(click, (SIDE, SIDE), LABEL), "type": "keypoint"}
    del point["value"]["keypointlabels"]
    return [point, {**point, "type": "labels", "from_name": "label"}]
