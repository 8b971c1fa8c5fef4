"""One click of an annotation and what it did to the mask, measured without knowing the truth.

All lengths are shares of sqrt(image area) or of sqrt(object area), so that image sizes do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from model.click import Click
from model.mask_ops import THRESHOLD

MEASURED_SIDE = 512  # pixels; maps are thinned out to about this side before they are measured
UNDECIDED = (64, 192)  # map values between which the model is unsure: probabilities 0.25 to 0.75
FRAME = 0.15  # width of the surroundings of a mask that are looked at, in sqrt(its area)
RENAMED = {"stable": "stability_score", "solid": "solidity"}  # attributes of `Effect` before version 0.2


@dataclass(frozen=True)
class Effect:
    """What one click did.

    Attributes:
        area: of the mask, share of the image, 0..1.
        change: 1 - IoU of the masks before and after the click, 0..1; 1 for a first click.
        growth: difference of the areas after and before over the larger one, -1..1.
        surprise: how far the map was from what the click says, 0 (said so already) .. 1 (said the opposite).
        depth: distance of the click to the edge of the mask before, in sqrt(its area); negative outside.
        expected: IoU with the truth that the map expects of itself if its probabilities hold, 0..1.
        undecided: undecided pixels in pixels of the mask, 0..
        weakest: lowest agreement of the mask's map with any click in force, 0..1.
        parts: connected parts of the mask.
        roughness: perimeter over that of a disk of the same area; 1 for a disk.
        sure: mean probability of the mask's pixels, 0.5..1; 0 for an empty mask, as the next three.
        tenth: a tenth of the mask's pixels have at most this probability, 0.5..1.
        stability_score: IoU of the masks at thresholds 0.25 and 0.75, 0..1.
        solidity: area over that of the convex hull, 0..1.
        around: mean probability of the pixels around the mask, 0..0.5.
    """

    area: float
    change: float
    growth: float
    surprise: float
    depth: float
    expected: float
    undecided: float
    weakest: float
    parts: int
    roughness: float
    sure: float
    tenth: float
    stability_score: float
    solidity: float
    around: float


@dataclass(frozen=True)
class Step:
    """One answered request.

    Attributes:
        seconds: since the step before; 0 for the first.
        x, y: of the newest click, in sqrt(image area) from the top left corner.
        positive: its polarity.
        clicks: clicks in force.
        undone: clicks that were there at the step before and are gone or have moved.
        effect: see `Effect`.
    """

    seconds: float
    x: float
    y: float
    positive: bool
    clicks: int
    undone: int
    effect: Effect


def measure(before: np.ndarray | None, after: np.ndarray, clicks: Sequence[Click]) -> Effect:
    """Measure the step from one map to the next.

    Args:
        before: HxW uint8 map (round(255 p)) that the last click was placed on; None for nothing.
        after: HxW uint8 map that answered it.
        clicks: those in force, in pixels of the maps, the newest last; may be empty (a box).
    """
    new, clicks = shrunk(after, clicks)
    old = np.zeros_like(new) if before is None else shrunk(before)[0]
    was, now = old >= THRESHOLD, new >= THRESHOLD
    area_was, area, union = (int(np.count_nonzero(m)) for m in (was, now, was | now))
    parts, roughness, solid = _shape(now, area)
    counts = cv2.calcHist([new], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    total, inside = (float(counts[low:] @ np.arange(low, 256)) / 255 for low in (0, THRESHOLD))
    undecided, likely = int(counts[slice(*UNDECIDED)].sum()), int(counts[UNDECIDED[0] :].sum())
    return Effect(
        area=area / now.size,
        change=1 - float(np.count_nonzero(was & now)) / union if union else 0.0,
        growth=(area - area_was) / max(area, area_was, 1),
        surprise=1 - _agreement(old, clicks[-1]) if clicks else 0.0,
        depth=_depth(was, clicks[-1]) if clicks and area_was else 0.0,
        expected=inside / (area + total - inside) if area else 0.0,
        undecided=undecided / max(area, 1),
        weakest=min((_agreement(new, click) for click in clicks), default=1.0),
        parts=parts,
        roughness=roughness,
        sure=inside / max(area, 1),
        tenth=_tenth(counts, area) if area else 0.0,
        stability_score=(likely - undecided) / likely if area else 0.0,
        solidity=solid,
        around=_around(new, now, area),
    )


def shrunk(values: np.ndarray, clicks: Sequence[Click] = ()) -> tuple[np.ndarray, list[Click]]:
    """Keep every n-th pixel of a map (HxW uint8), and its clicks: its longer side has 1 to 2 `MEASURED_SIDE`."""
    step = max(values.shape) // MEASURED_SIDE
    if step < 2:
        return values, list(clicks)
    top, left = (min(step, side) // 2 for side in values.shape)  # a strip may be thinner than a step
    small = np.ascontiguousarray(values[top::step, left::step])
    return small, [Click(c.x / step, c.y / step, c.positive) for c in clicks]


def _agreement(values: np.ndarray, click: Click) -> float:
    """0..1: the map's probability of what the click says of its pixel."""
    probability = float(values[click.pixel(*values.shape)]) / 255
    return probability if click.positive else 1 - probability


def _depth(mask: np.ndarray, click: Click) -> float:
    row, column = click.pixel(*mask.shape)
    inside = bool(mask[row, column])
    side = mask if inside else ~mask
    distance = float(cv2.distanceTransform(side.view(np.uint8), cv2.DIST_L2, 3)[row, column])
    return (distance if inside else -distance) / float(np.sqrt(np.count_nonzero(mask)))


def _shape(mask: np.ndarray, area: int) -> tuple[int, float, float]:
    """Compute the number of parts, roughness and solidity."""
    if not area:
        return 0, 0.0, 0.0
    contours, hierarchy = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    perimeter = sum(cv2.arcLength(contour, True) for contour in contours)
    parts = int(np.count_nonzero(hierarchy[0, :, 3] < 0))
    # Contours run through the middle of pixels: half a perimeter, and one pixel, lie outside of them.
    hull = cv2.convexHull(np.concatenate(contours))
    around = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    return parts, perimeter / (2 * float(np.sqrt(np.pi * area))), area / around


def _tenth(counts: np.ndarray, area: int) -> float:
    """Return the probability that a tenth of the mask's pixels do not exceed, from numbers of pixels by map value."""
    return (THRESHOLD + int(np.searchsorted(np.cumsum(counts[THRESHOLD:]), 0.1 * area))) / 255


def _around(values: np.ndarray, mask: np.ndarray, area: int) -> float:
    """Mean probability in a frame around the mask, of every second pixel both ways."""
    if not area:
        return 0.0
    values, mask = values[::2, ::2], np.ascontiguousarray(mask[::2, ::2])
    side = 2 * max(round(FRAME * float(np.sqrt(area)) / 2), 1) + 1
    # A sum over a square takes as long for a large one as for a small one, which dilating does not.
    covered = cv2.boxFilter(mask.view(np.uint8), cv2.CV_32F, (side, side), normalize=False)
    frame = (covered > 0.5) & ~mask
    return float(values[frame].mean()) / 255 if frame.any() else 0.0
