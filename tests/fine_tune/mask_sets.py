"""Small sets in the layout of the shared ones, drawn by the tests."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tests.fine_tune.shape_scenes import shape_scene


def write_set(folder: Path, images: int = 4, side: int = 96) -> Path:
    """images/, masks/ (id 1 the object, 255 a strip to ignore), items.json, split.json; the last item is `val`."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    items = []
    for index in range(images):
        scene = shape_scene(np.random.default_rng(index), side)
        mask = scene.truth.astype(np.uint8)
        mask[:2] = 255
        cv2.imwrite(str(folder / "images" / f"{index}.png"), scene.image[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
        items.append({"id": str(index), "image": f"images/{index}.png", "mask": f"masks/{index}.png"})
    (folder / "items.json").write_text(json.dumps(items))
    split = {"train": [i["id"] for i in items[:-1]], "val": [items[-1]["id"]]}
    (folder / "split.json").write_text(json.dumps(split))
    return folder


def write_scenes(folder: Path, scenes: Sequence[tuple[np.ndarray, Sequence[np.ndarray]]], train: int) -> Path:
    """Write images (HxWx3 uint8 RGB) with masks of all objects (HxW bool); `public` are those after `train`."""
    items = []
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number, (image, masks) in enumerate(scenes):
        ids = np.zeros(image.shape[:2], np.uint8)
        for place, mask in enumerate(masks, 1):
            ids[mask] = place
        cv2.imwrite(str(folder / f"images/{number}.png"), image[..., ::-1])
        cv2.imwrite(str(folder / f"masks/{number}.png"), ids)
        items.append({"id": number, "image": f"images/{number}.png", "mask": f"masks/{number}.png"})
    (folder / "items.json").write_text(json.dumps(items))
    parts = {"train": [*range(train)], "public": [*range(train, len(items))]}
    (folder / "split.json").write_text(json.dumps(parts))
    return folder
