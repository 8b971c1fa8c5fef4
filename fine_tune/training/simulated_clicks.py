"""Simulated annotators for training: every training step is one click of an ongoing annotation.

RITM (arXiv 2102.06583) runs extra forward passes without gradient to reach a later click. Here each place of
the batch keeps its own annotation: the map that one training step predicts is the previous mask of the next, so
that no forward pass is spent without learning, and the view is the one the predictor would show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from model.click import Click
from model.evaluation.clicker import larger_error
from model.inference import zoom
from model.inference.click_maps import STANDARD
from model.inference.merge import progressive
from model.inference.predictor import box_prior, guide_for, quantise
from model.mask_ops import THRESHOLD, depth_of, iou, object_box
from model.scene import Scene

MAX_CLICKS = 16
CONTINUE = 0.78  # chance of another click: about four and a half steps an annotation
LOOK_AGAIN = 0.4  # chance that a step repeats the click of the step before in a nearer window
NEAR_EDGE = 0.1  # chance of a click near the edge of the error
GOOD_ENOUGH = 0.97  # IoU at which an annotator stops


@dataclass(frozen=True)
class View:
    """What one training step sees: image SxSx3 uint8, guide 3xSxS float32, label SxS float32 (-1 ignored)."""

    image: np.ndarray
    guide: np.ndarray
    label: np.ndarray


@dataclass
class Annotation:
    """One object being annotated.

    `previous` is the HxW uint8 map of the last answer (or how the annotation starts: box, mask, nothing);
    `look_again` is set when the next step repeats the last click in a nearer window, as the predictor does:
    around a first click's answer, or in `closer`, around what a later click changed; `reached` is the IoU of the last
    answer.
    """

    scene: Scene
    previous: np.ndarray
    clicks: list[Click] = field(default_factory=list)
    window: zoom.Window | None = None
    look_again: bool = False
    closer: zoom.Window | None = None
    reached: float = 0.0

    def iou(self) -> float:
        """Compute the IoU of the last answer with the truth, ignored pixels left out."""
        return iou(self.scene.truth, self.previous >= THRESHOLD, self.scene.ignore)


def begin(scene: Scene, rng: np.random.Generator) -> Annotation:
    """Begin an annotation: mostly from nothing, sometimes from a box or from a mask that needs correction."""
    shape = scene.truth.shape
    annotation = Annotation(scene, np.zeros(shape, np.uint8))
    chance = rng.random()
    if chance < 0.05:
        annotation.previous = box_prior((shape[0], shape[1]), _loose_box(scene.truth, rng))
    elif chance < 0.18:
        annotation.previous = _damaged(scene.truth, rng)
    elif chance < 0.36:  # several clicks before the first answer, as RITM's training starts
        annotation.clicks += _random_clicks(scene.truth, True, rng.geometric(0.4), rng)
        annotation.clicks += _random_clicks(~scene.truth & ~scene.ignore, False, rng.geometric(0.4) - 1, rng)
    return annotation


def step(
    annotation: Annotation,
    size: int,
    rng: np.random.Generator,
    encoding: tuple[str, float] = STANDARD,
) -> View:
    """Place the next click and return the view of it; remembers the window for `answer`."""
    scene = annotation.scene
    box_start = not annotation.clicks and bool((annotation.previous == 128).any()) and rng.random() < 0.6
    if not annotation.look_again and not box_start:
        annotation.clicks.append(_next_click(annotation, rng))
    window = annotation.closer and replace(annotation.closer, size=size)
    window = window or zoom.target_crop(annotation.previous, annotation.clicks, size, rng.uniform(1.15, 2.0))
    annotation.window = window = _shifted(window, rng)
    label = (window.crop(scene.truth.view(np.uint8) * 255) >= 128).astype(np.float32)
    label[window.crop(scene.ignore.view(np.uint8), 1, cv2.INTER_NEAREST) > 0] = -1
    image = window.show(scene.image)
    guide = guide_for(window, annotation.previous, annotation.clicks, *encoding)
    return View(image, guide, label)


def answer(annotation: Annotation, probability: np.ndarray, rng: np.random.Generator) -> bool:
    """Take the network's SxS float answer as the new previous mask; return whether the annotation goes on."""
    window = annotation.window
    assert window is not None, "answer follows step"
    before, again = annotation.previous, annotation.look_again
    annotation.previous = before.copy()
    window.paste(quantise(probability), annotation.previous)
    annotation.look_again, annotation.closer = False, None
    if not again and rng.random() < LOOK_AGAIN and annotation.clicks:
        if len(annotation.clicks) > 1:
            _look_closer(annotation, before, window, rng)
        else:
            annotation.look_again = not before.any()
    annotation.reached = annotation.iou()
    if annotation.look_again:
        return True
    done = len(annotation.clicks) >= MAX_CLICKS or rng.random() > CONTINUE
    return not done and annotation.reached < GOOD_ENOUGH


def _look_closer(
    annotation: Annotation, before: np.ndarray, seen: zoom.Window, rng: np.random.Generator
) -> None:
    """Have the next step look closer at what the last click changed, if there is more to see."""
    click, expansion = annotation.clicks[-1], rng.uniform(1.3, 2.0)
    merged = annotation.previous.copy()
    progressive(before, merged, click, seen)
    annotation.closer = zoom.focus_crop(before, merged, click, seen, expansion)
    if annotation.closer is not None:
        annotation.look_again, annotation.previous = True, merged


def _next_click(annotation: Annotation, rng: np.random.Generator) -> Click:
    """Click into the larger error, anywhere in the deeper half of it, with a shaky hand now and then."""
    scene = annotation.scene
    positive, depth = larger_error(scene.truth, annotation.previous >= THRESHOLD, (), scene.ignore)
    if depth.max() <= 0:  # nothing left to correct: any pixel of the object is a fair click
        return _random_clicks(scene.truth, True, 1, rng)[0]
    deepest, chance = depth.max(), rng.random()
    if chance < NEAR_EDGE:  # as careless people click: just inside the error's edge
        return _pick((depth > 0) & (depth <= max(0.3 * deepest, 1)), positive, rng)
    share = 0.5 if chance < 0.75 else 0.1
    return _pick(depth > share * deepest, positive, rng)


def _random_clicks(mask: np.ndarray, positive: bool, count: int, rng: np.random.Generator) -> list[Click]:
    """Click into a mask, each time no nearer to its edge than a random depth; nowhere if it is empty."""
    if count < 1 or not mask.any():
        return []
    depth = depth_of(mask)
    return [_pick(depth > rng.uniform(0.02, 0.7) * depth.max(), positive, rng) for _ in range(count)]


def _pick(region: np.ndarray, positive: bool, rng: np.random.Generator) -> Click:
    box = object_box(region)
    assert box is not None, "there is a pixel to click"
    # Of a large image this is most of the time.
    rows, cols = np.nonzero(region[box[1] : box[3], box[0] : box[2]])
    chosen = rng.integers(rows.size)
    x, y = box[0] + cols[chosen] + rng.random(), box[1] + rows[chosen] + rng.random()
    return Click(float(x), float(y), positive)


def _shifted(window: zoom.Window, rng: np.random.Generator) -> zoom.Window:
    """Move a window by up to 8 % of its sides, where the image leaves room."""
    sides = window.cols, window.rows
    x, y = np.array((window.x0, window.y0)) + (0.5 + rng.uniform(-0.08, 0.08, 2)) * sides
    return zoom.oblong(x, y, sides, (window.height, window.width), window.size)


def _loose_box(truth: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw the object's box with every edge off by up to a tenth of the side, mostly outwards."""
    box = object_box(truth)
    assert box is not None, "a scene has an object"
    width, height = box[2] - box[0], box[3] - box[1]
    off = rng.uniform(-0.03, 0.1, 4)
    return (
        box[0] - off[0] * width,
        box[1] - off[1] * height,
        min(box[2] + off[2] * width, truth.shape[1]),
        min(box[3] + off[3] * height, truth.shape[0]),
    )


def _damaged(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Damage the truth: swell or shrink its edge, add or cut out a few blobs; HxW uint8 map."""
    mask = np.ascontiguousarray(truth).view(np.uint8) * np.uint8(255)
    scale = float(np.sqrt(truth.sum()))
    width = int(rng.integers(1, max(int(0.06 * scale), 1) + 2))
    change: Callable[..., np.ndarray] = cv2.dilate if rng.random() < 0.5 else cv2.erode
    mask = change(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1,) * 2))
    rows, cols = np.nonzero(truth)
    for _ in range(int(rng.integers(1, 4))):
        spot = rng.integers(rows.size)
        radius = int(rng.uniform(0.08, 0.3) * scale) + 1
        shift = rng.normal(0, 0.5 * scale, 2)
        centre = (int(cols[spot] + shift[0]), int(rows[spot] + shift[1]))
        axes = (radius, int(radius * rng.uniform(0.5, 1.5)) + 1)
        value = 255 if rng.random() < 0.5 else 0
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, value, -1)
    return mask
