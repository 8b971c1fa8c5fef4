"""Fitting the quality model: it learns what is there to learn, and weighs beginnings less."""

import pytest
import torch

from fine_tune.quality.training import PREFIX_WEIGHT, examples, fit
from tests.fine_tune.quality.simulated_steps import records


@pytest.fixture(scope="module")
def model():
    return fit(records(300, 1), members=2, epochs=15)


def test_what_is_told_by_the_steps_is_learned(model):
    test = records(100, 2)
    predicted = torch.tensor([quality.iou for quality in model.predict([r.trace for r in test])])
    truth = torch.tensor([r.annotation.iou for r in test])
    assert torch.corrcoef(torch.stack([predicted, truth]))[0, 1] > 0.9
    assert (predicted - truth).abs().mean() < 0.08


def test_too_little_to_learn_from():
    with pytest.raises(ValueError, match="too few"):
        fit(records(10, 1))


def test_beginnings_of_annotations_are_examples_of_less_weight():
    made = records(5, 1)
    traces, ious, weights = examples(made)
    assert len(traces) == len(ious) == len(weights) == sum(len(r.annotation.steps) for r in made)
    assert int((weights == 1).sum()) == 5
    assert sorted(set(weights.tolist())) == pytest.approx([PREFIX_WEIGHT, 1.0])
    first = made[0].annotation
    assert ious[0].item() == pytest.approx(first.iou)
    assert [len(trace.steps) for trace in traces[1 : len(first.steps)]] == list(range(1, len(first.steps)))


def test_the_same_seed_is_the_same_model():
    one, other = (fit(records(60, 1), members=1, epochs=1, trees=5, seed=3) for _ in range(2))
    traces = [record.trace for record in records(5, 9)]
    assert one.predict(traces) == other.predict(traces)
