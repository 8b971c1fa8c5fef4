"""Proposals: the click model clicks at the peaks of the heat map by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from model.click import Click
from model.inference.clean import remove_small_regions
from model.inference.predictor import Predictor, Request
from model.proposals.head import HeatMaps, Peak

LEAST_HEAT = 0.15  # of lower peaks less than half are right
MOST = 150  # peaks of one image that are clicked
BATCH = 8  # clicks in one pass
SURROUNDINGS = 4.0  # side of what the click model is shown, in sizes of the object
LEAST_SIDE = 48  # pixels of it
COVERED = 0.4  # share of a mask that better ones may cover already
SURE, UNSURE = 191, 64  # of a map: thresholds of the stability score

T = TypeVar("T")


@dataclass(frozen=True)
class Proposal:
    """One object that is proposed.

    Attributes:
        click: the positive click that made it.
        label: index of the label.
        score: 0..1: the peak's height times the mask's stability.
        mask: HxW bool, cleaned; overlaps with no better one.
    """

    click: Click
    label: int
    score: float
    mask: np.ndarray


@dataclass(frozen=True)
class _View:
    """What the click model is shown for a peak: rows and columns of the image, and the click within."""

    peak: Peak
    rows: slice
    cols: slice

    def click(self) -> Click:
        return Click(self.peak.x - self.cols.start, self.peak.y - self.rows.start)


def propose(
    maps: HeatMaps, predictor: Predictor, image: np.ndarray, most: int = MOST, least: float = LEAST_HEAT
) -> list[Proposal]:
    """Propose objects on an image (HxWx3 uint8 RGB), best first.

    Args:
        most: at most so many peaks are clicked.
        least: lower peaks (0..1) are left alone.
    """
    views = [_view(peak, image.shape[:2]) for peak in maps.peaks(image, least, most)]
    requests = [Request(image[view.rows, view.cols], [view.click()]) for view in views]
    answers = _batched(predictor.predict_many, requests)
    # The second look is dear: only what is left gets it.
    chosen = [place for place, *_ in _resolve(views, answers, image.shape[:2])]
    again = _batched(
        lambda part: predictor.look_again([requests[i] for i in part], [answers[i] for i in part]), chosen
    )
    left = [views[i] for i in chosen]
    found = _resolve(left, again, image.shape[:2])
    return [_proposal(left[place], score, mask, image.shape[:2]) for place, score, mask in found]


def _batched(answer: Callable[[list[T]], list[np.ndarray]], items: Sequence[T]) -> list[np.ndarray]:
    return [found for at in range(0, len(items), BATCH) for found in answer(list(items[at : at + BATCH]))]


def stability(map_: np.ndarray) -> float:
    """Compute how little a map's mask depends on its threshold, 0..1; 0 for an empty one (HxW uint8)."""
    wide = np.count_nonzero(map_ >= UNSURE)
    return np.count_nonzero(map_ >= SURE) / wide if wide else 0.0


def _view(peak: Peak, shape: Sequence[int]) -> _View:
    half = max(SURROUNDINGS * peak.size, LEAST_SIDE) / 2
    spans = [
        slice(max(int(at - half), 0), min(int(at + half) + 1, limit))
        for at, limit in ((peak.y, shape[0]), (peak.x, shape[1]))
    ]
    return _View(peak, spans[0], spans[1])


def _resolve(
    views: Sequence[_View], answers: Sequence[np.ndarray], shape: Sequence[int]
) -> list[tuple[int, float, np.ndarray]]:
    """Let better proposals keep what several claim, and leave out what is covered already.

    Returns:
        Places in `views`, best first, each with its score and its mask (bool, as large as the view).
    """
    scores = [view.peak.heat * stability(answer) for view, answer in zip(views, answers, strict=True)]
    taken, kept = np.zeros(tuple(shape), bool), list[tuple[int, float, np.ndarray]]()
    for place in np.argsort(-np.array(scores), kind="stable"):
        view = views[place]
        mask = remove_small_regions(answers[place], [view.click()])
        area = np.count_nonzero(mask)
        before = taken[view.rows, view.cols]
        if not area or np.count_nonzero(mask & before) > COVERED * area:
            continue
        own = remove_small_regions(np.where(before, np.uint8(0), answers[place]), [view.click()])
        if not own.any():
            continue
        taken[view.rows, view.cols] |= own
        kept.append((int(place), float(scores[place]), own))
    return kept


def _proposal(view: _View, score: float, mask: np.ndarray, shape: Sequence[int]) -> Proposal:
    full = np.zeros(tuple(shape), bool)
    full[view.rows, view.cols] = mask
    return Proposal(Click(view.peak.x, view.peak.y), view.peak.label, score, full)
