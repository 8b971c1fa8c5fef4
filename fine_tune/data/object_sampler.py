"""Which object of a labelled image is trained on: one id, a merged pair, a region, or everything."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fine_tune.data.bundle import Item
from model.mask_ops import object_box
from model.scene import Scene

MIN_AREA = 300  # pixels; smaller objects are mostly noise of the annotation at these image sizes
IGNORE = 255
# How often a set is drawn. Precise and varied ones first; sets that are not named share OTHER_WEIGHT.
SET_WEIGHTS = {
    "bsds_regions": 0.16,
    "coco_mval_rest": 0.15,
    "coco_small": 0.15,
    "voc_animals": 0.25,
    "ccp_clothing": 0.08,
    "weizmann_horses": 0.05,
    "human_seg": 0.06,
    "face_parts": 0.01,
    "labelmefacade": 0.01,
    "wild_animals": 0.04,
}
OTHER_WEIGHT = 0.008
PASTE_SHARE = 0.25  # of all scenes
MOST_PASTED = 4  # copies
TWIN_SHARE = 0.4  # of those: a copy of the object itself, which only the click tells apart


class ObjectSampler:
    """Draws scenes from items: set first, then image, then object."""

    def __init__(self, items: Sequence[Item], weights: dict[str, float] | None = None) -> None:
        if not items:
            raise ValueError("nothing to train on: the list of items is empty")
        self._groups: dict[str, list[Item]] = {}
        for item in items:
            self._groups.setdefault(item.group, []).append(item)
        table = SET_WEIGHTS if weights is None else weights
        share = np.array([table.get(name, OTHER_WEIGHT) for name in self._groups])
        self._names, self._share = list(self._groups), share / share.sum()

    def varied(self, rng: np.random.Generator) -> Scene:
        """A random scene to train on: sometimes with others pasted in, always augmented."""
        scene = self.draw(rng)
        if rng.random() < PASTE_SHARE:
            other = scene if rng.random() < TWIN_SHARE else self.draw(rng)
            for _ in range(int(rng.integers(1, MOST_PASTED + 1))):
                scene = paste(scene, other, rng)
        return augment(scene, rng)

    def plain(self, rng: np.random.Generator) -> Scene:
        """A random scene to train on as it is, but augmented."""
        return augment(self.draw(rng), rng)

    def draw(self, rng: np.random.Generator) -> Scene:
        """A random scene whose object has at least MIN_AREA pixels and at most 80 % of the image."""
        while True:
            group = self._groups[self._names[rng.choice(len(self._names), p=self._share)]]
            item = group[rng.integers(len(group))]
            image, ids = item.decode()
            truth = _choose(ids, item.group, rng)
            if MIN_AREA <= truth.sum() <= 0.8 * truth.size:
                return Scene(image, truth, ids == IGNORE)


def paste(scene: Scene, other: Scene, rng: np.random.Generator) -> Scene:
    """Put the object of another scene into this one (copy-paste, arXiv 2012.07177).

    Photos show one striking object too often; with two of them only the click can tell which one is meant. Half of
    the time that is the pasted one, else what is left of the scene's own.
    """
    box = object_box(np.ascontiguousarray(other.truth))
    assert box is not None, "the sampler draws no empty truth"
    x0, y0, x1, y1 = box
    height, width = scene.truth.shape
    share = rng.uniform(0.15, 0.6)  # of the image's sides
    scale = min(share * height / (y1 - y0), share * width / (x1 - x0))
    size = (max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1))
    cut = cv2.resize(other.truth[y0:y1, x0:x1].view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    colours = cv2.resize(other.image[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
    left, top = rng.integers(0, width - size[0] + 1), rng.integers(0, height - size[1] + 1)
    place = (slice(top, top + size[1]), slice(left, left + size[0]))
    image, pasted = scene.image.copy(), np.zeros_like(scene.truth)
    image[place][cut] = colours[cut]
    pasted[place] = cut
    rest = scene.truth & ~pasted
    own = rng.random() < 0.5 and rest.sum() > max(0.5 * scene.truth.sum(), MIN_AREA)
    truth = rest if own or pasted.sum() < MIN_AREA else pasted
    return Scene(image, truth, scene.ignore & ~pasted) if truth.sum() >= MIN_AREA else scene


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
    """A region grown by one to `most` of its neighbours: whole objects are unions of a segmentation's regions."""
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


def augment(scene: Scene, rng: np.random.Generator) -> Scene:
    """Flip, crop around the object, and change colours; geometry is shared by image, truth and ignore."""
    image, truth, ignore = scene.image, scene.truth, scene.ignore
    if rng.random() < 0.5:
        image, truth, ignore = image[:, ::-1], truth[:, ::-1], ignore[:, ::-1]
    if rng.random() < 0.5:
        rows, cols = _crop_around(truth, rng)
        image, truth, ignore = image[rows, cols], truth[rows, cols], ignore[rows, cols]
    return Scene(_recolour(image, rng), np.ascontiguousarray(truth), np.ascontiguousarray(ignore))


def _crop_around(truth: np.ndarray, rng: np.random.Generator) -> tuple[slice, slice]:
    """A random box of the image around the object, so that the object fills more of the first view."""
    box = object_box(np.ascontiguousarray(truth))
    assert box is not None, "the sampler draws no empty truth"
    height, width = truth.shape
    near = rng.random(4) ** 2 * rng.uniform(0.3, 1.0)  # 0 keeps the border of the image, 1 cuts at the object
    x0, y0 = int(box[0] * near[0]), int(box[1] * near[1])
    x1, y1 = round(width - (width - box[2]) * near[2]), round(height - (height - box[3]) * near[3])
    return slice(y0, y1), slice(x0, x1)


def _recolour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, gamma and colour cast through one table per channel; sometimes grey or soft."""
    out = np.ascontiguousarray(image)
    if rng.random() < 0.75:
        values = np.linspace(0, 1, 256) ** rng.uniform(0.7, 1.4)
        values = (values - 0.5) * rng.uniform(0.75, 1.3) + 0.5 + rng.uniform(-0.15, 0.15)
        tables = (values[:, None] + rng.uniform(-0.05, 0.05, 3)) * 255
        out = cv2.LUT(out, tables.clip(0, 255).astype(np.uint8).reshape(256, 1, 3))
    if rng.random() < 0.05:
        out = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.1:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.5))
    return out
