"""Sampling of training objects from labelled images: one id, a merged pair, a region, or everything."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fine_tune.data.augment import MIN_AREA, augment, flatten, paste, shrink, squeeze
from fine_tune.data.encoded_image import DataError, EncodedImage
from model.mask_file import IGNORE
from model.scene import Scene

# How often a set is drawn. Precise and varied ones first; sets that are not named share OTHER_WEIGHT.
SET_WEIGHTS = {
    "bsds_regions": 0.16,
    "coco_mval_rest": 0.15,
    "coco_small": 0.15,
    "voc_animals": 0.25,  # of bundles that do not tell its origins apart
    "voc_animals.voc2012": 0.16,
    "voc_animals.sbd": 0.07,
    "voc_rest.voc2012": 0.07,
    "voc_rest.sbd": 0.03,
    "ccp_clothing": 0.08,
    "weizmann_horses": 0.05,
    "human_seg": 0.06,
    "face_parts": 0.01,
    "labelmefacade": 0.01,
    "wild_animals": 0.04,
    "bin_products": 0.02,
    "facade_parts": 0.015,
    "camvid_street": 0.01,
    "foot_ulcers": 0.015,
    "wbc_cells": 0.02,
}
OTHER_WEIGHT = 0.008
THING_SHARE = 0.8  # of draws leave out what a set's labels call stuff
SMALL_SHARE = 0.06  # of all scenes: the object comes to lie, tiny, in another photo
THIN_SHARE = 0.08  # of all scenes: squeezed along one axis
FLAT_SHARE = 0.06  # of all scenes: the object lies on a ground of one colour
PASTE_SHARE = 0.25  # of all scenes
MOST_PASTED = 4  # copies
DRAWS = 1000  # without an object, after which there is taken to be none
TWIN_SHARE = 0.4  # of those: a copy of the object itself, which only the click tells apart


def weight_of(name: str) -> float:
    """Look up how often the images of a name are drawn: by its own weight, else by its set's."""
    return SET_WEIGHTS.get(name, SET_WEIGHTS.get(name.split(".")[0], OTHER_WEIGHT))


class ObjectSampler:
    """Draws scenes from the images of a training bundle: set first, then image, then object.

    Args:
        images: with one map of ids each.

    Raises:
        DataError: there are no images, or hardly any objects on them.
    """

    def __init__(self, images: Sequence[EncodedImage]) -> None:
        if not images:
            raise DataError("nothing to train on: the list of images is empty")
        self._groups: dict[str, list[EncodedImage]] = {}
        for image in images:
            self._groups.setdefault(image.name, []).append(image)
        share = np.array([weight_of(name) for name in self._groups])
        self._names, self._share = list(self._groups), share / share.sum()
        self.draw(np.random.default_rng(0))  # where there is nothing to draw, it is said at once

    def varied(self, rng: np.random.Generator) -> Scene:
        """Draw a scene to train on: sometimes with others pasted in, tiny or squeezed, always augmented."""
        scene, chance = self.draw(rng), rng.random()
        if chance < SMALL_SHARE:
            return augment(shrink(scene, self.draw(rng), rng), rng)
        if chance < SMALL_SHARE + THIN_SHARE:
            scene = squeeze(scene, rng)
        elif chance < SMALL_SHARE + THIN_SHARE + FLAT_SHARE:
            scene = flatten(scene, rng)
        if rng.random() < PASTE_SHARE:
            other = scene if rng.random() < TWIN_SHARE else self.draw(rng)
            for _ in range(int(rng.integers(1, MOST_PASTED + 1))):
                scene = paste(scene, other, rng)
        return augment(scene, rng)

    def plain(self, rng: np.random.Generator) -> Scene:
        """Draw a scene to train on, augmented, with nothing pasted in."""
        return augment(self.draw(rng), rng)

    def draw(self, rng: np.random.Generator) -> Scene:
        """Draw a scene whose object has at least MIN_AREA pixels and at most 80 % of the image."""
        for _ in range(DRAWS):
            group = self._groups[self._names[rng.choice(len(self._names), p=self._share)]]
            chosen = group[rng.integers(len(group))]
            image, ids = chosen.decode()
            meant = _things(ids, chosen.stuff) if rng.random() < THING_SHARE else ids
            truth = _choose(meant, chosen.name, rng)
            if MIN_AREA <= truth.sum() <= 0.8 * truth.size:
                return Scene(image, truth, ids == IGNORE)
        raise DataError(
            f"nothing to train on: {DRAWS} draws found no object of {MIN_AREA} pixels to 80 % of its image: make "
            "another training bundle, of larger images or of other sets"
        )


def _things(ids: np.ndarray, stuff: tuple[int, ...]) -> np.ndarray:
    """Drop the ids of stuff, which become background, unless nothing would be left."""
    things = np.where(np.isin(ids, stuff), 0, ids) if stuff else ids
    return things if ((things > 0) & (things != IGNORE)).any() else ids


def _choose(ids: np.ndarray, group: str, rng: np.random.Generator) -> np.ndarray:
    present = [int(i) for i in np.unique(ids) if i not in (0, IGNORE)]
    if not present:
        return np.zeros(ids.shape, bool)
    one = present[rng.integers(len(present))]
    chance = rng.random()
    if group == "bsds_regions":
        return _touching_union(ids, one, rng) if chance < 0.6 else ids == one
    if group == "ccp_clothing" and chance < 0.45:
        return (ids > 0) & (ids != IGNORE) if chance < 0.15 else _component(ids == one, rng)
    return _touching_union(ids, one, rng, 1) if chance < 0.12 else ids == one


def _touching_union(ids: np.ndarray, start: int, rng: np.random.Generator, most: int = 4) -> np.ndarray:
    """Grow a region by one to `most` of its neighbours: objects are unions of a segmentation's regions."""
    mask = ids == start
    kernel = np.ones((3, 3), np.uint8)
    for _ in range(int(rng.integers(1, most + 1))):
        ring = (cv2.dilate(mask.view(np.uint8), kernel) > 0) & ~mask
        around = ids[ring & (ids > 0) & (ids != IGNORE)]
        if not around.size:
            break
        mask = mask | (ids == around[rng.integers(around.size)])  # long borders are drawn more often
    return mask


def _component(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count, labels = cv2.connectedComponents(mask.view(np.uint8))
    return labels == rng.integers(1, count) if count > 1 else mask
