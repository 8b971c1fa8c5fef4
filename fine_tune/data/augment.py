"""Data augmentation of scenes: copy-paste, scale, flips, crops and colours."""

from __future__ import annotations

import cv2
import numpy as np

from model.mask_ops import object_box
from model.scene import Scene

SMALL_SIDE = (9, 28)  # pixels, the longer side of the box of a shrunk object
SMALL_AREA = 30  # pixels of such an object
MIN_AREA = 300  # pixels; smaller objects are mostly noise of the annotation at these image sizes


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


def shrink(scene: Scene, other: Scene, rng: np.random.Generator) -> Scene:
    """Put the object, SMALL_SIDE pixels long, some times into the photo of another scene; one of them is meant.

    Half of the time what lies around the object comes with it. The scene as it is where it would be too thin.
    """
    box = object_box(np.ascontiguousarray(scene.truth))
    assert box is not None, "the sampler draws no empty truth"
    margin = round(rng.uniform(0.1, 0.5) * max(box[2] - box[0], box[3] - box[1]))
    rows = slice(max(box[1] - margin, 0), box[3] + margin)
    cols = slice(max(box[0] - margin, 0), box[2] + margin)
    scale = rng.uniform(*SMALL_SIDE) / max(box[2] - box[0], box[3] - box[1])
    if scale >= 1:
        return scene
    part, soft = scene.image[rows, cols], scene.truth[rows, cols].view(np.uint8) * np.uint8(255)
    size = (max(round(soft.shape[1] * scale), 1), max(round(soft.shape[0] * scale), 1))
    colours = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    cover = cv2.resize(soft, size, interpolation=cv2.INTER_AREA)
    height, width = other.truth.shape
    if (cover >= 128).sum() < SMALL_AREA or size[0] > width or size[1] > height:
        return scene
    image, ignore = other.image.copy(), np.zeros_like(other.truth)
    alpha = np.ones(cover.shape) if rng.random() < 0.5 else cover / 255
    for _ in range(int(rng.integers(1, 5))):  # the last one is meant, and nothing lies on it
        left, top = rng.integers(0, width - size[0] + 1), rng.integers(0, height - size[1] + 1)
        place = (slice(top, top + size[1]), slice(left, left + size[0]))
        image[place] = (image[place] * (1 - alpha[..., None]) + colours * alpha[..., None]).round()
    truth = np.zeros_like(ignore)
    truth[place] = cover >= 128
    return Scene(image, truth, ignore)


def squeeze(scene: Scene, rng: np.random.Generator) -> Scene:
    """Shorten one axis to 35 to 70 %: thin parts, long strips. The scene as it is where the object gets too small."""
    factor, height, width = rng.uniform(0.35, 0.7), *scene.truth.shape
    size = (round(width * factor), height) if rng.random() < 0.5 else (width, round(height * factor))
    image = cv2.resize(scene.image, size, interpolation=cv2.INTER_AREA)
    truth = cv2.resize(scene.truth.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    ignore = cv2.resize(scene.ignore.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return Scene(image, truth, ignore) if truth.sum() >= MIN_AREA else scene


def flatten(scene: Scene, rng: np.random.Generator) -> Scene:
    """Put the object on a ground of one colour, often grey and without noise; half of the time it has one itself.

    So are drawings, screenshots and pictures of products. Without such scenes a network takes flat ground for what is
    beyond the border of an image, which nobody has told it anything about.
    """
    ground = _one_colour(rng)
    body = scene.image if rng.random() < 0.5 else _one_colour(rng)
    cover = cv2.GaussianBlur(scene.truth.astype(np.float32), (0, 0), 0.6)[..., None]
    image = body * cover + ground * (1 - cover) + rng.normal(0, rng.choice((0, 0, 1, 3)), scene.image.shape)
    return Scene(image.clip(0, 255).round().astype(np.uint8), scene.truth, np.zeros_like(scene.ignore))


def _one_colour(rng: np.random.Generator) -> np.ndarray:
    colour = rng.uniform(0, 255, 3)
    return np.full(3, colour[0]) if rng.random() < 0.6 else colour


def augment(scene: Scene, rng: np.random.Generator) -> Scene:
    """Flip a scene, crop it around its object, and change its colours.

    Image, truth and ignore get the same geometry; the crop never cuts the object.
    """
    image, truth, ignore = scene.image, scene.truth, scene.ignore
    if rng.random() < 0.5:
        image, truth, ignore = image[:, ::-1], truth[:, ::-1], ignore[:, ::-1]
    if rng.random() < 0.5:
        rows, cols = _crop_around(truth, rng)
        image, truth, ignore = image[rows, cols], truth[rows, cols], ignore[rows, cols]
    return Scene(_recolour(image, rng), np.ascontiguousarray(truth), np.ascontiguousarray(ignore))


def _crop_around(truth: np.ndarray, rng: np.random.Generator) -> tuple[slice, slice]:
    """Draw a box of the image around the object, so that the object fills more of the first view."""
    box = object_box(np.ascontiguousarray(truth))
    assert box is not None, "the sampler draws no empty truth"
    height, width = truth.shape
    near = rng.random(4) ** 2 * rng.uniform(0.3, 1.0)  # 0 keeps the border of the image, 1 cuts at the object
    x0, y0 = int(box[0] * near[0]), int(box[1] * near[1])
    x1, y1 = round(width - (width - box[2]) * near[2]), round(height - (height - box[3]) * near[3])
    return slice(y0, y1), slice(x0, x1)


def _recolour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, gamma and colour cast by one table per channel; sometimes grey or soft."""
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
