"""A simulated annotation: an annotator clicks an object, the real predictor answers, the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from fine_tune.quality.annotators import Annotator
from fine_tune.quality.steps import Step, measure
from model.click import Click
from model.inference.clean import remove_small_regions
from model.inference.predictor import Predictor
from model.mask_ops import depth_of, iou
from model.proposals.correction import soften
from model.scene import Scene


@dataclass(frozen=True)
class Subject(Scene):
    """A scene that is annotated.

    Attributes:
        name: image id, to group by.
        neighbour: HxW bool, another object of the image; None where there is none.
        proposal: HxW bool, the mask with which the annotation begins; None where it begins with a click.
    """

    name: str = ""
    neighbour: np.ndarray | None = None
    proposal: np.ndarray | None = None

    def iou(self, mask: np.ndarray) -> float:
        """Compute the IoU of a mask (HxW bool) with the truth."""
        return iou(self.truth, mask, self.ignore)


@dataclass
class Annotation:
    """A finished annotation: its steps, the IoU after each of them, and how it ended.

    `iou` is that of the accepted mask, which differs from the last of `ious` where it was repaired by hand;
    `edited` is 1 - IoU of the accepted mask with the last answer; `proposed` says that it began as a proposal. One
    that was taken over as it was has no steps.
    """

    steps: list[Step] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    iou: float = 0.0
    edited: float = 0.0
    proposed: bool = False


@dataclass
class _Hand:
    """The annotation in progress: clicks in force, the map after each, and the mask that is shown for it."""

    subject: Subject
    goal: np.ndarray
    clicks: list[Click]
    maps: list[np.ndarray] = field(default_factory=list)
    masks: list[np.ndarray] = field(default_factory=list)
    undone: int = 0

    @property
    def mask(self) -> np.ndarray:
        if self.masks:
            return self.masks[-1]
        return np.zeros_like(self.goal) if self.subject.proposal is None else self.subject.proposal

    @property
    def map(self) -> np.ndarray | None:
        if self.maps or self.subject.proposal is None:
            return self.maps[-1] if self.maps else None
        return soften(self.subject.proposal)


def annotate(
    annotator: Annotator, subject: Subject, predictor: Predictor, rng: np.random.Generator
) -> Annotation:
    """Let an annotator annotate a subject from nothing, or from its proposal, to the accepted mask."""
    hand = _Hand(subject, _goal(annotator, subject, rng), [])
    result, extra = Annotation(proposed=subject.proposal is not None), annotator.extra
    while len(result.steps) < annotator.patience or not result.steps:
        click = _next(annotator, hand, rng)
        if click is None:
            if extra <= 0:
                break
            extra -= 1
            click = _somewhere(hand.goal, True, rng)
        hurried = 0 < len(result.steps) < annotator.burst
        seconds = annotator.pause(hurried, rng) if result.steps else 0.0
        _place(hand, click, seconds, predictor, result)
        if len(result.steps) >= annotator.burst:
            _take_back(annotator, hand, rng)
            if rng.random() < annotator.bored:
                break
    _finish(annotator, hand, result, rng)
    return result


def _place(hand: _Hand, click: Click, seconds: float, predictor: Predictor, result: Annotation) -> None:
    hand.clicks.append(click)
    before = hand.map
    after = predictor.predict(hand.subject.image, hand.clicks, before)
    hand.maps.append(after)
    hand.masks.append(remove_small_regions(after, hand.clicks))
    side = float(np.sqrt(after.size))
    result.steps.append(
        Step(
            seconds=seconds,
            x=click.x / side,
            y=click.y / side,
            positive=click.positive,
            clicks=len(hand.clicks),
            undone=hand.undone,
            effect=measure(before, after, hand.clicks),
        )
    )
    result.ious.append(hand.subject.iou(hand.mask))
    hand.undone = 0


def _take_back(annotator: Annotator, hand: _Hand, rng: np.random.Generator) -> None:
    """Undo the last click where it made the mask worse; the stale answer is gone with the next click."""
    if len(hand.masks) < 2 or rng.random() >= annotator.kind.undo:
        return
    if (hand.masks[-1] ^ hand.goal).sum() > 1.1 * (hand.masks[-2] ^ hand.goal).sum():
        for taken in (hand.clicks, hand.maps, hand.masks):
            taken.pop()
        hand.undone += 1


def _finish(annotator: Annotator, hand: _Hand, result: Annotation, rng: np.random.Generator) -> None:
    accepted = hand.mask
    # Taken back without another click: Label Studio still shows, and accepts, the last answer.
    if hand.undone:
        result.iou = result.ious[-1]
        return
    if rng.random() < annotator.kind.repair:
        error = _largest(accepted ^ hand.goal)
        repaired = np.where(error, hand.goal, accepted)
        result.edited = 1 - iou(repaired, accepted)
        accepted = repaired
    result.iou = hand.subject.iou(accepted)


def _goal(annotator: Annotator, subject: Subject, rng: np.random.Generator) -> np.ndarray:
    """Choose what the annotator takes for the object."""
    if not annotator.misled or subject.neighbour is None:
        return subject.truth
    return subject.truth | subject.neighbour if rng.random() < 0.7 else subject.neighbour


def _next(annotator: Annotator, hand: _Hand, rng: np.random.Generator) -> Click | None:
    """Place the next click; None where the annotator sees nothing left to correct."""
    kind, counted = annotator.kind, ~hand.subject.ignore
    if rng.random() < kind.stray and hand.clicks:
        around = cv2.dilate(hand.goal.view(np.uint8), np.ones((25, 25), np.uint8)) > 0
        return _somewhere(around, bool(rng.random() < 0.5), rng)
    if 0 < len(hand.clicks) < annotator.burst:  # has not looked yet: any place of the object is as good
        return _somewhere(hand.goal, True, rng)
    missed, wrong = hand.goal & ~hand.mask & counted, ~hand.goal & hand.mask & counted
    parts = {True: _largest(missed), False: _largest(wrong & (not annotator.blind))}
    positive = bool(parts[True].sum() >= parts[False].sum())
    error = parts[positive]
    # Nobody leaves out all of an object.
    shown = hand.clicks or hand.subject.proposal is not None
    tolerated = annotator.tolerance * hand.goal.sum() if shown else 0.0
    if error.sum() <= tolerated:
        return None
    click = _shaken(annotator, _within(error, annotator.edges, positive, rng), hand.goal, rng)
    return Click(click.x, click.y, not positive) if rng.random() < kind.slip and hand.clicks else click


def _largest(mask: np.ndarray) -> np.ndarray:
    """Find the largest connected part of an HxW bool mask."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(mask)
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def _within(error: np.ndarray, edges: float, positive: bool, rng: np.random.Generator) -> Click:
    depth = depth_of(error)
    wanted = (1 - edges) * depth.max()
    near = np.abs(depth - wanted) <= max(0.1 * depth.max(), 0.5)
    return _somewhere(near & error if (near & error).any() else error, positive, rng)


def _somewhere(mask: np.ndarray, positive: bool, rng: np.random.Generator) -> Click:
    places = np.flatnonzero(mask)
    row, column = divmod(int(places[rng.integers(places.size)]), mask.shape[1])
    return Click(column + float(rng.random()), row + float(rng.random()), positive)


def _shaken(annotator: Annotator, click: Click, goal: np.ndarray, rng: np.random.Generator) -> Click:
    shift = rng.normal(0, annotator.jitter * np.sqrt(goal.sum()) + 1e-6, 2)
    height, width = goal.shape
    x, y = np.clip(click.x + shift[0], 0, width - 0.01), np.clip(click.y + shift[1], 0, height - 0.01)
    return Click(float(x), float(y), click.positive)


def prefixes(annotation: Annotation) -> Sequence[tuple[list[Step], float]]:
    """List every proper beginning of an annotation with its IoU: what stopping earlier would have given."""
    return [(annotation.steps[: i + 1], annotation.ious[i]) for i in range(len(annotation.steps) - 1)]
