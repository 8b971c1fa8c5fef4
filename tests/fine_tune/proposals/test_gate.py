"""The gate for proposals: prices, thresholds, and what it lets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import model
from fine_tune.proposals.gate import (
    NEVER,
    ImageActions,
    Scored,
    choose_thresholds,
    expect,
    judge,
    measure_image,
)
from fine_tune.proposals.training import CompleteImage, train_head
from model.proposals.head import HeatMaps
from model.proposals.propose import propose
from model.versions import checkpoint
from model.versions.assemble import Loaded
from tests.fine_tune.proposals.drawn import discs, shuffled
from tests.fine_tune.proposals.flood_fill import FloodFill


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return checkpoint.load(Path(model.__file__).parent / "weights")


@pytest.fixture
def predictor() -> Any:
    return FloodFill()


def measured(maps: HeatMaps, predictor: Any, truth: CompleteImage, objects: int) -> ImageActions:
    return measure_image(propose(maps, predictor, truth.image, 12), predictor, truth, objects)


def test_thresholds_keep_what_saves_and_drop_labels_that_cost():
    good = [Scored(0, 0.9, 2.0), Scored(0, 0.6, 1.0), Scored(0, 0.3, -1.0)]
    bad = [Scored(1, 0.9, -1.0), Scored(1, 0.5, 0.5)]
    assert choose_thresholds([ImageActions(3, 6, good + bad)], 2) == (0.6, NEVER)


def test_images_are_judged_with_thresholds_of_others():
    # Every proposal of even images saves, those of odd ones cost: thresholds of one half are wrong for the other.
    images = [ImageActions(1, 2.0, [Scored(0, 0.9, 1.0 if place % 2 == 0 else -1.0)]) for place in range(8)]
    verdict = judge(images, 1)
    assert not verdict.offered and verdict.actions == pytest.approx((4 * 2 + 4 * 3) / 8)


def test_few_images_are_not_enough():
    images = [ImageActions(1, 2.0, [Scored(0, 0.9, 2.0)])] * 3
    verdict = judge(images, 1)
    assert not verdict.offered and "only 3 images" in verdict.reason
    assert judge(images + images, 1).offered


def test_scores_stand_for_the_ious_that_were_measured():
    sure, unsure = Scored(0, 0.9, 2.0, 0.8), Scored(0, 0.3, -1.0, 0.0)
    made = expect([ImageActions(1, 2.0, [sure, unsure])] * 10)
    assert made is not None and (made.of(0.9), made.of(0.3)) == (0.8, 0.0)


def test_no_image_is_judged():
    assert not judge([], 2).offered


def test_a_head_that_learned_discs_proposes_them_and_passes(loaded: Loaded, predictor: Any):
    maps = train_head(loaded[0], [discs(seed) for seed in range(4)], 1, steps=40)
    truth = discs(100)
    found = propose(maps, predictor, truth.image, 12)[: len(truth.masks)]
    assert sum(any(m[p.click.pixel(*m.shape)] for m in truth.masks) for p in found) >= 4
    assert sum(p.mask.astype(int) for p in found).max() <= 1  # masks do not overlap
    verdict = judge([measured(maps, predictor, discs(seed), 2) for seed in range(200, 204)], 1)
    assert verdict.offered and verdict.ratio < 0.6, verdict.reason


def test_a_head_of_shuffled_labels_is_refused(loaded: Loaded, predictor: Any):
    held_out = shuffled([discs(seed) for seed in range(200, 204)])
    maps = train_head(loaded[0], shuffled([discs(seed) for seed in range(4)]), 1, steps=40)
    verdict = judge([measured(maps, predictor, image, 1) for image in held_out], 1)
    assert not verdict.offered and "save" in verdict.reason
