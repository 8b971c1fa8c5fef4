"""Annotations that begin with a proposal, on shapes that a colour finds."""

import numpy as np
import pytest

from fine_tune.quality.annotators import Annotator, Kind
from fine_tune.quality.dataset import simulate
from fine_tune.quality.simulated_annotation import annotate
from fine_tune.quality.simulated_proposal import with_proposal
from model.inference.predictor import Predictor
from tests.fine_tune.quality.simulated_steps import ColourEngine, subject


class BlindEngine(ColourEngine):
    """Marks nothing but the click."""

    def run(self, image, guide):
        return np.where(guide[:, 1] > 0, 0.9, 0.05)


@pytest.fixture(scope="module")
def predictor():
    return Predictor(ColourEngine())


def half_proposed(seed: int):
    """A subject whose proposal lacks the lower half."""
    one = subject(seed)
    rows = np.flatnonzero(one.truth.any(1))
    mask = one.truth.copy()
    mask[int(rows.mean()) :] = False
    return type(one)(one.image, one.truth, one.ignore, one.name, None, mask)


def test_the_model_proposes_what_it_makes_of_the_middle(predictor):
    found = with_proposal(subject(1), predictor, np.random.default_rng(0))
    assert found is not None
    assert found.iou(found.proposal) > 0.9
    assert found.name == subject(1).name


def test_a_proposal_that_would_be_deleted_is_none():
    assert with_proposal(subject(1), Predictor(BlindEngine()), np.random.default_rng(0)) is None


def test_a_proposal_is_mended_from_its_mask(predictor):
    rng = np.random.default_rng(0)
    half = half_proposed(2)
    steady = Kind(tolerance=(0.05, 0.06), jitter=(0.0, 0.0), misled=0.0, repair=0.0)
    made = annotate(Annotator.draw(steady, rng), half, predictor, rng)
    assert made.proposed
    assert made.iou > 0.9 > half.iou(half.proposal)
    first = made.steps[0]
    assert first.clicks == 1
    assert first.positive
    assert first.effect.change < 0.7, "of the mask that was there, where a first click changes all"
    assert first.effect.growth < 0.7


def test_who_sees_nothing_to_correct_takes_it_over(predictor):
    rng = np.random.default_rng(0)
    content = Kind(tolerance=(0.9, 0.91), extra=(0, 0), misled=0.0, repair=0.0)
    half = half_proposed(2)
    made = annotate(Annotator.draw(content, rng), half, predictor, rng)
    assert not made.steps
    assert made.iou == half.iou(half.proposal)


def test_only_what_is_clicked_is_recorded(predictor):
    kinds = {"content": Kind(tolerance=(0.9, 0.91), extra=(0, 0), misled=0.0)}
    subjects = [subject(seed) for seed in range(3)]
    assert not list(simulate(subjects, kinds, predictor, 0, proposed=True))
    busy = {"busy": Kind(extra=(2, 2), stray=0.0)}
    made = list(simulate(subjects, busy, predictor, 0, proposed=True))
    assert made
    assert all(record.trace.proposed and record.annotation.steps for record in made)
