"""Public sets as projects: images of the train part to learn from, objects of the other part to judge the result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from fine_tune.data.project_samples import LabelledImage, Samples, held_out_share, is_held_out
from fine_tune.proposals.training import CompleteImage
from model.evaluation.datasets import read_folder, spread
from model.image_file import read_image
from model.mask_file import IGNORE, read_ids
from model.scene import Sample


def read_labelled(folder: Path, part: str, count: int) -> list[LabelledImage]:
    """Read `count` images of a part with all objects, drawn by a fixed seed."""
    entries = json.loads((folder / "items.json").read_bytes())
    names = set(map(str, json.loads((folder / "split.json").read_bytes())[part]))
    chosen = sorted((e for e in entries if str(e["id"]) in names), key=lambda e: str(e["id"]))
    order = np.random.default_rng(0).permutation(len(chosen))[:count]
    found = []
    for entry in (chosen[i] for i in order):
        ids = read_ids(folder / entry["mask"])
        masks = [ids == i for i in np.unique(ids) if i not in (0, IGNORE)]
        found.append(LabelledImage(str(entry["id"]), read_image(folder / entry["image"]), masks))
    return found


def read_complete(folder: Path, part: str, count: int) -> list[CompleteImage]:
    """Read images as `read_labelled` does, with one label for all objects."""
    found = read_labelled(folder, part, count)
    return [CompleteImage(image.image, image.masks, [0] * len(image.masks)) for image in found]


def read_images(folder: Path, count: int, all_train: bool = False) -> Samples:
    """Read `count` images of a set's train part with all objects.

    Args:
        all_train: train on all of them; else some are held out, as in a project.
    """
    samples = Samples(held_out_share(count))
    for labelled in read_labelled(folder, "train", count):
        name = labelled.digest
        if all_train:
            name = next(f"{name}/{n}" for n in range(10_000) if not is_held_out(f"{name}/{n}", samples.share))
        samples.add(replace(labelled, digest=name))
    return samples


def read_shuffled(folder: Path, count: int) -> Samples:
    """Read images as `read_images` does, and give every one the masks of the next one, resampled to its size."""
    samples, images = Samples(held_out_share(count)), read_labelled(folder, "train", count)
    for labelled, other in zip(images, [*images[1:], images[0]], strict=True):
        size = labelled.image.shape[1::-1]
        masks = [cv2.resize(m.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0 for m in other.masks]
        samples.add(replace(labelled, masks=masks))
    return samples


def public_objects(folder: Path, count: int) -> list[Sample]:
    """Choose objects of the part that is never trained on."""
    split = folder / "split.json"
    parts = json.loads(split.read_bytes()) if split.exists() else {}
    part = next((p for p in ("public", "val") if p in parts), None)
    return spread(read_folder(folder, part, min_area=40), count)
