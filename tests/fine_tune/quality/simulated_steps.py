"""Steps, records and a click model that need no training."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from fine_tune.quality.dataset import Record
from fine_tune.quality.simulated_annotation import Annotation, Subject
from fine_tune.quality.steps import Effect, Step
from tests.fine_tune.shape_scenes import shape_scene


class ColourEngine:
    """Marks what has the colour under a positive click, and unmarks what has that under a negative one."""

    size, device = 96, "test"

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `model.engines.base.Engine.run`."""
        out = guide[:, 0].copy()
        for shown, (_, positive, negative), answer in zip(image, guide, out, strict=True):
            for marks, value in ((positive, 0.95), (negative, 0.05)):
                for row, column in np.argwhere(marks > 0)[::7]:
                    answer[np.abs(shown.astype(int) - shown[row, column]).sum(2) < 60] = value
        return out


def subject(seed: int, side: int = 96) -> Subject:
    """A bright ellipse on a dark ground."""
    scene = shape_scene(np.random.default_rng(seed), side)
    return Subject(scene.image, scene.truth, scene.ignore, f"shape/{seed}")


def effect(**values: float) -> Effect:
    """A click that finished a round object; change what is of interest."""
    usual = {
        "area": 0.1,
        "change": 0.05,
        "growth": 0.02,
        "surprise": 0.5,
        "depth": 0.1,
        "expected": 0.9,
        "undecided": 0.1,
        "weakest": 0.9,
        "parts": 1,
        "roughness": 1.2,
        "sure": 0.95,
        "tenth": 0.8,
        "stability_score": 0.9,
        "solidity": 0.95,
        "around": 0.1,
    }
    return Effect(**{**usual, **values})  # type: ignore[arg-type]


def steps(*changes: float, seconds: float = 1.0) -> list[Step]:
    """One positive step for each change of the mask."""
    return [
        Step(seconds if i else 0.0, 0.5 + 0.01 * i, 0.5, True, i + 1, 0, effect(change=change))
        for i, change in enumerate(changes)
    ]


def record(iou: float, name: str, rng: np.random.Generator) -> Record:
    """An annotation whose mask still moves, and doubts itself, the more the worse it is."""
    count = int(rng.integers(1, 7))
    doubt = float(np.clip((1 - iou) + rng.normal(0, 0.03), 0.01, 1))
    made = [
        Step(
            float(rng.lognormal()) if i else 0.0,
            float(rng.random()),
            float(rng.random()),
            True,
            i + 1,
            0,
            effect(
                change=1.0 if i == 0 else 0.7 * doubt,
                expected=1 - doubt,
                undecided=doubt,
                sure=1 - doubt / 2,
                stability_score=1 - doubt,
            ),
        )
        for i in range(count)
    ]
    return Record("test", name, Annotation(made, [iou] * count, iou))


def records(count: int, seed: int) -> list[Record]:
    """Annotations from bad to good."""
    rng = np.random.default_rng(seed)
    return [record(float(iou), f"{seed}/{i // 2}", rng) for i, iou in enumerate(rng.uniform(0.2, 1, count))]


def write_subjects(folder: Path) -> Path:
    """Write an evaluation set of two images, one of them with an object that is too small to train on."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    items = []
    for number in range(2):
        made = subject(number)
        ids = made.truth.astype(np.uint8)
        ids[60:90, 70:90] = 2
        cv2.imwrite(str(folder / f"images/{number}.png"), made.image[..., ::-1])
        cv2.imwrite(str(folder / f"masks/{number}.png"), ids)
        items.append(
            {
                "id": str(number),
                "image": f"images/{number}.png",
                "mask": f"masks/{number}.png",
                "object_id": 1,
            }
        )
    items[1]["sequence"] = "film"
    (folder / "items.json").write_text(json.dumps(items))
    return folder
