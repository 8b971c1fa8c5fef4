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
        interval: 95 % interval of `actions` by what is saved of `by_hand`; offered proposals have it below that.
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
    objects: int = 4,
    known: dict[int, int] | None = None,
) -> ImageActions:
    """Measure the proposals for one image.

    Objects that are missed, that are proposed well and that are proposed poorly take different numbers of clicks by
    hand, most of all because what is easy to click is easy to propose. Each of these kinds is counted by itself.

    Args:
        predictor: answers the annotator's clicks.
        objects: at most so many of each kind are clicked by hand, evenly spread, and as many proposals are mended;
            the others count as the mean of their kind.
        known: the clicks of objects (by place) that were counted before; those that are counted now are added.
    """
    ious = pairwise_ious(proposals, truth)
    pairs = _paired(ious, len(truth.masks))
    poor = {place: index for place, index in pairs.items() if ious[place][index] < TARGET}
    missed = sorted(set(range(len(truth.masks))) - set(pairs.values()))
    good = [index for place, index in pairs.items() if place not in poor]
    counted = {} if known is None else known
    by_hand: dict[int, float] = {}
    for kind in (missed, good, list(poor.values())):
        by_hand |= _sampled(objects, kind, lambda chosen: _by_hand(predictor, truth, chosen, counted))

    def mend(places: list[int]) -> list[int]:
        starts = [soften(proposals[place].mask) for place in places]
        truths = [truth.masks[poor[place]] for place in places]
        return count_clicks(predictor, truth.image, truths, starts, truth.ignore)

    mends = _sampled(objects, list(poor), mend)
    scored = []
    for place, proposal in enumerate(proposals):
        saving, own = -1.0, 0.0  # what is not paired is false
        if place in pairs:
            index = pairs[place]
            own = ious[place][index]
            saving = by_hand[index] - mends.get(place, 0.0) - (proposal.label != truth.labels[index])
        elif truth.ignore is not None and truth.ignore[proposal.click.pixel(*truth.ignore.shape)]:
            saving = 0.0
        scored.append(Scored(proposal.label, proposal.score, saving, own))
    return ImageActions(len(truth.masks), float(sum(by_hand.values())), scored)


def _by_hand(
    predictor: Predicts, truth: CompleteImage, chosen: list[int], known: dict[int, int]
) -> list[int]:
    """Count the clicks that objects (places) take without proposals; those that are `known` are not clicked again."""
    new = [index for index in chosen if index not in known]
    clicks = count_clicks(
        predictor, truth.image, [truth.masks[index] for index in new], [None] * len(new), truth.ignore
    )
    known.update(zip(new, clicks, strict=True))
    return [known[index] for index in chosen]


def _paired(ious: Sequence[Sequence[float]], objects: int) -> dict[int, int]:
    """Pair proposals with the objects that they mean, best proposal first: place of a proposal -> that of its object.

    Args:
        ious: of every proposal with every object.
    """
    free, pairs = set(range(objects)), dict[int, int]()
    for place, own in enumerate(ious):
        best = max(free, key=own.__getitem__, default=None)
        if best is not None and own[best] >= MATCHED:
            free.remove(best)
            pairs[place] = best
    return pairs


def _sampled(most: int, places: Sequence[int], count: Callable[[list[int]], list[int]]) -> dict[int, float]:
    """Count the clicks of at most `most` places, evenly spread; the others count as their mean."""
    if not places:
        return {}
    chosen = spread(places, most)
    counted = count(chosen)
    return dict.fromkeys(places, float(np.mean(counted))) | dict(zip(chosen, counted, strict=True))


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
    least, most = mean_interval(by_hand - actions)  # of pairs: images differ by far more than that
    low, high = by_hand.mean() - most, by_hand.mean() - least
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
        interval=(float(low), float(high)),
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
