"""Simulated annotators against the real predictor, on shapes that a colour finds."""

import numpy as np
import pytest

from fine_tune.quality.annotators import SEEN, UNSEEN, Annotator, Kind
from fine_tune.quality.simulated_annotation import Subject, annotate, prefixes
from model.inference.predictor import Predictor
from tests.fine_tune.quality.simulated_steps import ColourEngine, subject


@pytest.fixture(scope="module")
def predictor():
    return Predictor(ColourEngine())


def run(kind, seed, predictor, subjects=subject):
    rng = np.random.default_rng(seed)
    return annotate(Annotator.draw(kind, rng), subjects(seed), predictor, rng)


@pytest.mark.parametrize("name", [*SEEN, *UNSEEN])
def test_every_kind_finishes_with_one_iou_a_step(name, predictor):
    kind = (SEEN | UNSEEN)[name]
    for seed in range(5):
        made = run(kind, seed, predictor)
        assert 1 <= len(made.steps) <= kind.patience[1]
        assert len(made.ious) == len(made.steps)
        assert 0 <= made.iou <= 1
        assert made.steps[0].seconds == 0
        assert all(step.seconds > 0 for step in made.steps[1:])


def test_an_object_of_small_parts_is_clicked_at_all(predictor):
    def scattered(seed: int) -> Subject:
        one = subject(seed)
        truth = np.zeros_like(one.truth)
        truth[::8, ::8] = True  # every part less than anybody would care to correct
        return Subject(one.image, truth, one.ignore, one.name)

    for name, kind in (SEEN | UNSEEN).items():
        assert run(kind, 0, predictor, scattered).steps, name


def test_kinds_for_testing_are_not_trained_on():
    assert not SEEN.keys() & UNSEEN.keys()


def test_the_same_seed_is_the_same_annotation(predictor):
    assert run(SEEN["mistaken"], 3, predictor) == run(SEEN["mistaken"], 3, predictor)


def test_careful_annotators_make_better_masks_than_careless_ones(predictor):
    careless = Kind(slip=0.7, stray=0.7, undo=0.0, patience=(4, 8), repair=0.0)
    careful = np.mean([run(SEEN["careful"], seed, predictor).iou for seed in range(15)])
    assert careful > np.mean([run(careless, seed, predictor).iou for seed in range(15)]) + 0.05


def test_the_misled_annotate_the_neighbour_too(predictor):
    def pair(seed: int) -> Subject:
        one = subject(seed)
        return Subject(one.image, one.truth, one.ignore, one.name, np.roll(one.truth, 40, axis=1))

    kind = Kind(misled=1.0, repair=1.0, patience=(1, 1))
    ious = [run(kind, seed, predictor, pair).iou for seed in range(8)]
    straight = [
        run(Kind(misled=0.0, repair=1.0, patience=(1, 1)), seed, predictor, pair).iou for seed in range(8)
    ]
    assert np.mean(ious) < np.mean(straight) - 0.2


def test_a_click_taken_back_shows_in_the_next_step(predictor):
    clumsy = Kind(stray=0.7, undo=1.0, patience=(12, 12), tolerance=(1e-4, 2e-4), extra=(12, 12))
    made = [run(clumsy, seed, predictor) for seed in range(8)]
    undone = [step for one in made for step in one.steps if step.undone]
    assert undone
    for one in made:
        for before, after in zip(one.steps, one.steps[1:], strict=False):
            assert after.clicks == before.clicks + 1 - after.undone


def test_repairs_by_hand_are_measured(predictor):
    made = [run(Kind(repair=1.0, patience=(1, 1), jitter=(0.3, 0.5)), seed, predictor) for seed in range(8)]
    assert any(one.edited > 0 and one.iou > one.ious[-1] for one in made)


def test_prefixes_leave_the_whole_out(predictor):
    made = run(SEEN["busy"], 1, predictor)
    parts = prefixes(made)
    assert [len(steps) for steps, _ in parts] == list(range(1, len(made.steps)))
    assert [iou for _, iou in parts] == made.ious[:-1]
