"""Objects to annotate, with a neighbour that an annotator may mistake for a part of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from fine_tune.data.bundle import Item
from fine_tune.data.object_sampler import IGNORE, MIN_AREA, OTHER_WEIGHT, SET_WEIGHTS
from fine_tune.quality.simulated_annotation import Subject

REACH = 15  # pixels around an object in which its neighbours are looked for


def pick(ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None] | None:
    """One object of an HxW uint8 id map and the neighbour with the longest common border, as HxW bool.

    None where no object has a fitting size.
    """
    values, areas = np.unique(ids, return_counts=True)
    fit = (values != 0) & (values != IGNORE) & (areas >= MIN_AREA) & (areas <= 0.8 * ids.size)
    if not fit.any():
        return None
    chosen = rng.choice(values[fit])
    truth = ids == chosen
    around = cv2.dilate(truth.view(np.uint8), np.ones((2 * REACH + 1,) * 2, np.uint8)) > 0
    others = ids[around & ~truth]
    others = others[(others != 0) & (others != IGNORE)]
    neighbour = ids == np.bincount(others).argmax() if others.size else None
    return truth, neighbour


def drawn(items: Sequence[Item], rng: np.random.Generator) -> Iterator[Subject]:
    """Subjects without end: first a set, as often as it is trained on, then an image, then an object."""
    groups: dict[str, list[tuple[int, Item]]] = {}
    for index, item in enumerate(items):
        groups.setdefault(item.group, []).append((index, item))
    names = list(groups)
    weights = np.array([SET_WEIGHTS.get(name, OTHER_WEIGHT) for name in names])
    while True:
        group = groups[names[rng.choice(len(names), p=weights / weights.sum())]]
        index, item = group[rng.integers(len(group))]
        image, ids = item.decode()
        picked = pick(ids, rng)
        if picked is not None:
            truth, neighbour = picked
            yield Subject(f"{item.group}/{index}", image, truth, ids == IGNORE, neighbour)


def listed(folder: Path) -> Iterator[Subject]:
    """The objects of an evaluation set (items.json with `object_id`, images/, masks/), in order."""
    for entry in json.loads((folder / "items.json").read_text()):
        item = Item(folder.name, *((folder / entry[key]).read_bytes() for key in ("image", "mask")))
        image, ids = item.decode()
        place = entry.get("sequence") or entry["image"]  # frames of one film are one thing to learn about
        yield Subject(f"{folder.name}/{place}", image, ids == entry["object_id"], ids == IGNORE)
