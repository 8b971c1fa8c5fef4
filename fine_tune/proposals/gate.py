"""The gate for proposals: do they save an annotator's actions on images that nothing was trained on?

An object that is missed costs its clicks, a false proposal one action (delete), a wrong label one, and a proposal
below IoU 0.85 the clicks that mend it, starting from its mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from fine_tune.proposals.training import CompleteImage
from model.click import Click
from model.evaluation.clicker import next_click
from model.evaluation.datasets import spread
from model.evaluation.evaluate import Predicts
from model.inference.predictor import Request
from model.mask_ops import THRESHOLD, iou, object_box
from model.proposals.correction import soften
from model.proposals.expectation import Expectation
from model.proposals.propose import Proposal

TARGET = 0.85
MATCHED = 0.5  # IoU from which a proposal means an object
CLICKS = 10  # an object's maximum
BATCH = 8
FEW_IMAGES = 4  # below which nothing can be told
DRAWS = 5000  # of the bootstrap
NEVER = 2.0  # a threshold above every score


@dataclass(frozen=True)
class Scored:
    """What taking a proposal over would save: actions, negative where it costs some; its IoU is 0 if it is false."""

    label: int
    score: float
    saving: float
    iou: float = 0.0


@dataclass(frozen=True)
class ImageActions:
    """One image: its objects, the clicks by hand, and what every proposal would save."""

    objects: int
    by_hand: float
    proposals: Sequence[Scored]

    def saved(self, thresholds: Sequence[float]) -> float:
        """Return the actions saved by the proposals at or above their label's threshold."""
        return sum(p.saving for p in self.proposals if p.score >= thresholds[p.label])


@dataclass(frozen=True)
class Verdict:
    """What the gate decides, and why.

    Attributes:
        offered: show proposals to annotators.
        reason: one sentence for people.
        thresholds: least score by label; `NEVER` for a label whose proposals save nothing.
        images: how many were judged.
        objects, by_hand, actions: per image: objects, clicks by hand, actions with proposals.
        interval: 95 % interval of `actions`.
        ratio: actions with proposals / clicks by hand.
    """

    offered: bool
    reason: str
    thresholds: tuple[float, ...]
    images: int
    objects: float
    by_hand: float
    actions: float
    interval: tuple[float, float]
    ratio: float

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def count_clicks(
    predictor: Predicts,
    image: np.ndarray,
    truths: Sequence[np.ndarray],
    starts: Sequence[np.ndarray | None],
    ignore: np.ndarray | None,
) -> list[int]:
    """Count the automatic clicker's clicks to IoU 0.85, at most `CLICKS`, for several objects of an image.

    Args:
        truths: HxW bool each.
        starts: HxW uint8 map each, to begin with; None for nothing.
        ignore: HxW bool, pixels that count nowhere; None for none.
    """
    maps, clicks = list(starts), [list[Click]() for _ in truths]
    open_ = list(range(len(truths)))
    while open_:
        still = []
        for place in open_:
            current = maps[place]
            mask = np.zeros_like(truths[place]) if current is None else current >= THRESHOLD
            if iou(mask, truths[place], ignore) >= TARGET or len(clicks[place]) >= CLICKS:
                continue
            click = next_click(truths[place], mask, clicks[place], ignore)
            if click is not None:
                clicks[place].append(click)
                still.append(place)
        for start in range(0, len(still), BATCH):
            part = still[start : start + BATCH]
            answers = predictor.predict_many([Request(image, clicks[i], maps[i]) for i in part])
            for place, answer in zip(part, answers, strict=True):
                maps[place] = answer
        open_ = still
    return [len(c) for c in clicks]


def measure_image(
    proposals: Sequence[Proposal],
    predictor: Predicts,
    truth: CompleteImage,
    objects: int = 8,
    by_hand: Sequence[float] | None = None,
) -> ImageActions:
    """Measure the proposals for one image.

    Args:
        predictor: answers the annotator's clicks.
        objects: at most so many are clicked by hand, evenly spread, and as many proposals are mended; the others
            count as their mean.
        by_hand: what `click_by_hand` returned, where it is known.
    """
    if by_hand is None:
        by_hand = click_by_hand(predictor, truth, objects)
    savings = _savings(proposals, predictor, truth, by_hand, objects)
    return ImageActions(len(truth.masks), float(sum(by_hand)), savings)


def click_by_hand(predictor: Predicts, truth: CompleteImage, objects: int) -> list[float]:
    """Count the clicks that every object of an image takes without proposals; `objects` as in `measure_image`."""

    def click(chosen: list[int]) -> list[int]:
        truths = [truth.masks[i] for i in chosen]
        return count_clicks(predictor, truth.image, truths, [None] * len(chosen), truth.ignore)

    return _sampled(objects, range(len(truth.masks)), click)


def _sampled(most: int, items: Sequence[int], count: Callable[[list[int]], list[int]]) -> list[float]:
    """Count the clicks of at most `most` items, evenly spread; the others count as their mean."""
    if not items:
        return []
    places = spread(range(len(items)), most)
    counted = count([items[place] for place in places])
    values = [float(np.mean(counted))] * len(items)
    for place, clicks in zip(places, counted, strict=True):
        values[place] = clicks
    return values


def _savings(
    proposals: Sequence[Proposal],
    predictor: Predicts,
    truth: CompleteImage,
    by_hand: Sequence[float],
    objects: int,
) -> list[Scored]:
    """Pair proposals with objects, best proposal first, and price them."""
    ious = pairwise_ious(proposals, truth)
    free, pairs = set(range(len(truth.masks))), list[tuple[int, int]]()
    saved = [-1.0] * len(proposals)  # what is not paired is false
    for place, proposal in enumerate(proposals):
        best = max(free, key=ious[place].__getitem__, default=None)
        if best is not None and ious[place][best] >= MATCHED:
            free.remove(best)
            pairs.append((place, best))
        elif truth.ignore is not None and truth.ignore[proposal.click.pixel(*truth.ignore.shape)]:
            saved[place] = 0.0
    matched = {place: ious[place][index] for place, index in pairs}
    poor = [pair for pair in pairs if matched[pair[0]] < TARGET]

    def mend(chosen: list[int]) -> list[int]:
        starts = [soften(proposals[poor[i][0]].mask) for i in chosen]
        return count_clicks(
            predictor, truth.image, [truth.masks[poor[i][1]] for i in chosen], starts, truth.ignore
        )

    mends = dict(zip([place for place, _ in poor], _sampled(objects, range(len(poor)), mend), strict=True))
    for place, index in pairs:
        wrong = proposals[place].label != truth.labels[index]
        saved[place] = by_hand[index] - mends.get(place, 0.0) - wrong
    return [
        Scored(proposal.label, proposal.score, saved[place], matched.get(place, 0.0))
        for place, proposal in enumerate(proposals)
    ]


def pairwise_ious(proposals: Sequence[Proposal], truth: CompleteImage) -> list[list[float]]:
    """Compute the IoU (0..1) of every proposal with every object, a list per proposal; ask for each mask once."""
    counted = np.ones(truth.image.shape[:2], bool) if truth.ignore is None else ~truth.ignore
    areas = [np.count_nonzero(proposal.mask & counted) for proposal in proposals]
    ious = [[1.0] * len(truth.masks) for _ in proposals]  # two empty masks agree
    for index, mask in enumerate(truth.masks):
        own = mask & counted
        left, top, right, bottom = object_box(own) or (0, 0, 0, 0)
        part = own[top:bottom, left:right]
        area = np.count_nonzero(part)
        for place, proposal in enumerate(proposals):
            both = np.count_nonzero(proposal.mask[top:bottom, left:right] & part)
            if either := areas[place] + area - both:
                ious[place][index] = float(both / either)
    return ious


def expect(images: Sequence[ImageActions]) -> Expectation | None:
    """Learn the IoU that is expected of a score; None where too few proposals are known."""
    known = [proposal for image in images for proposal in image.proposals]
    return Expectation.fit([proposal.score for proposal in known], [proposal.iou for proposal in known])


def choose_thresholds(images: Sequence[ImageActions], labels: int) -> tuple[float, ...]:
    """Choose the threshold of every label that saves most; `NEVER` where none saves anything."""
    chosen = []
    for label in range(labels):
        own = sorted((p for i in images for p in i.proposals if p.label == label), key=lambda p: -p.score)
        totals = np.cumsum([p.saving for p in own])
        best = int(totals.argmax()) if own else 0
        chosen.append(own[best].score if own and totals[best] > 0 else NEVER)
    return tuple(chosen)


def judge(images: Sequence[ImageActions], labels: int) -> Verdict:
    """Decide whether proposals are offered.

    Every image is judged with thresholds that were chosen on the other half of them; those of the verdict are
    chosen on all.

    Args:
        images: `FEW_IMAGES` or more; fewer cannot tell.
    """
    by_hand, actions = np.array([i.by_hand for i in images]), _actions(images, labels)
    thresholds = choose_thresholds(images, labels)
    if not by_hand.sum():
        return Verdict(False, "no held-out image with an object", thresholds, len(images), 0, 0, 0, (0, 0), 1)
    low, high = mean_interval(actions)
    least, _ = mean_interval(by_hand - actions)
    objects = float(np.mean([i.objects for i in images]))
    digits = 0 if objects >= 10 else 1
    figures = (
        f"{objects:.{digits}f} objects an image: {by_hand.mean():.{digits}f} clicks by hand, "
        f"{actions.mean():.{digits}f} actions with proposals (95 % interval {low:.{digits}f} to {high:.{digits}f})"
    )
    offered = least > 0 and min(thresholds) < NEVER
    return Verdict(
        offered=offered,
        reason=figures if offered else f"proposals do not surely save work: {figures}",
        thresholds=thresholds,
        images=len(images),
        objects=objects,
        by_hand=float(by_hand.mean()),
        actions=float(actions.mean()),
        interval=(low, high),
        ratio=float(actions.sum() / by_hand.sum()),
    )


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Compute the 95 % bootstrap interval of the mean of two values or more (float64).

    It is the expanded percentile interval (Hesterberg 2015, The American Statistician 69). Of few values the plain
    one is too narrow: with six images proposals that save nothing would pass twice as often as they may.
    """
    count = len(values)
    tail = norm.cdf(-np.sqrt(count / (count - 1)) * student.ppf(0.975, count - 1))
    drawn = np.random.default_rng(0).integers(count, size=(DRAWS, count))
    low, high = np.quantile(values[drawn].mean(1), (tail, 1 - tail))
    return float(low), float(high)


def _actions(images: Sequence[ImageActions], labels: int) -> np.ndarray:
    """Count every image's actions (float64), with thresholds that were chosen on the other half of the images."""
    halves, actions = (images[::2], images[1::2]), np.zeros(len(images))
    for own, (mine, other) in enumerate((halves, halves[::-1])):
        thresholds = choose_thresholds(other, labels)
        actions[own::2] = [i.by_hand - i.saved(thresholds) for i in mine]
    return actions
