"""The built-in retention set: what a model must not forget while it learns a project.

Scenes are made by rule, so that the set travels with the code and is the same everywhere: textured bodies of many
shapes on cluttered grounds, partly hidden, with shading, blur and noise. They are no photographs; they notice when a
model forgets to follow clicks and edges, which is what narrow training destroys. Who has photographs with masks
names them in CLICKMASK_GENERAL_SET instead.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from model.scene import Sample, Scene

COUNT = 16
SIDES = (320, 448)


def samples(count: int = COUNT) -> list[Sample]:
    """Return the first `count` objects of the set."""
    return [Sample(f"general-{index}", partial(scene, index)) for index in range(count)]


def scene(index: int) -> Scene:
    """Draw object number `index`: always the same one."""
    rng = np.random.default_rng((20260601, index))
    height, width = (int(rng.integers(*SIDES)) for _ in range(2))
    image = _texture((height, width), rng)
    for _ in range(int(rng.integers(3, 7))):  # clutter behind the object
        _draw(image, _shape((height, width), rng), rng)
    truth = _shape((height, width), rng, central=True)
    _draw(image, truth, rng)
    for _ in range(int(rng.integers(0, 3))):  # and in front of it, where little of it gets lost
        cover = _shape((height, width), rng)
        if (truth & cover).sum() < 0.3 * truth.sum():
            _draw(image, cover, rng)
            truth = truth & ~cover
    noisy = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.2)) + rng.normal(0, 4, image.shape)
    return Scene(noisy.clip(0, 255).astype(np.uint8), truth, np.zeros_like(truth))


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Mix two colours by noise of a random grain and a gradient; HxWx3 float32 in 0..255."""
    noise = rng.normal(0, 1, (shape[0], shape[1])).astype(np.float32)
    grain = cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(1, 12)))
    strength = rng.uniform(0.2, 1.5) / max(float(grain.std()), 1e-6)
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    slope = rows * rng.uniform(-1, 1) / shape[0] + cols * rng.uniform(-1, 1) / shape[1]
    mix = 1 / (1 + np.exp(-(grain * strength + slope)))[..., None]
    first = rng.uniform(20, 235, 3)
    second = (first + rng.normal(0, 35, 3)).clip(0, 255)
    return (first * mix + second * (1 - mix)).astype(np.float32)


def _shape(shape: tuple[int, int], rng: np.random.Generator, central: bool = False) -> np.ndarray:
    """Fill a smooth outline whose radius varies with the angle; HxW bool."""
    room = (0.35, 0.65) if central else (0.0, 1.0)
    centre = np.array([rng.uniform(*room) * shape[1], rng.uniform(*room) * shape[0]])
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(1, 6):
        radius += rng.normal(0, 0.35 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    radius = radius.clip(0.25) * rng.uniform(0.09, 0.24) * min(shape)
    stretch = np.array([rng.uniform(0.7, 1.4), rng.uniform(0.7, 1.4)])
    outline = centre + stretch * radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
    return mask > 0


def _draw(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> None:
    """Paint a body over the image, brighter where the light comes from."""
    texture = _texture(mask.shape, rng)
    depth = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 3)
    shade = 0.75 + 0.35 * np.minimum(depth / max(float(depth.max()), 1.0) * 2, 1)
    image[mask] = (texture * shade[..., None])[mask]
