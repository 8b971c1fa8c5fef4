"""The IoU that a score stands for."""

import numpy as np
import pytest

from model.proposals.expectation import FEWEST, Expectation


def test_it_finds_what_scores_stand_for():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 0.9, 500)
    ious = np.clip(0.8 * scores + 0.2 + rng.normal(0, 0.05, 500), 0, 1)
    made = Expectation.fit(scores.tolist(), ious.tolist())
    assert made is not None
    assert [made.of(score) for score in (0.3, 0.6)] == pytest.approx([0.44, 0.68], abs=0.04)
    assert 0.03 < made.error < 0.07


def test_a_better_score_never_expects_less():
    made = Expectation.fit([place / 40 for place in range(40)], [0.9, 0.1] * 20)
    assert made is not None
    expected = [made.of(score) for score in np.linspace(-1, 2, 50)]
    assert expected == sorted(expected) and 0.1 <= expected[0] <= expected[-1] <= 0.9


def test_few_proposals_tell_nothing():
    assert Expectation.fit([0.5] * (FEWEST - 1), [0.5] * (FEWEST - 1)) is None


def test_it_is_read_as_it_was_written():
    made = Expectation((0.2, 0.6), (0.3, 0.9), 0.1)
    assert Expectation.from_json(made.as_json()) == made


@pytest.mark.parametrize(
    "changes", [{"ious": [0.3]}, {"scores": [0.2, float("nan")]}, {"scores": [], "ious": []}]
)
def test_what_is_no_expectation_is_refused(changes: dict[str, list[float]]):
    with pytest.raises(ValueError, match="scores with"):
        Expectation.from_json(Expectation((0.2, 0.6), (0.3, 0.9), 0.1).as_json() | changes)
