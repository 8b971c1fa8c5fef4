"""The order in which images teach: what is unlike the known ones, what is doubted, and no two alike in a row."""

import numpy as np
import pytest

from fine_tune.proposals.active_learning import query_order

NOTHING = np.zeros((0, 2))


def places(descriptions: list[list[float]], known: np.ndarray, doubts: list[float]) -> list[int]:
    return [place for place, _ in query_order(np.array(descriptions), known, np.array(doubts))]


def test_unlike_images_come_first():
    assert places([[0.0, 0.0], [0.1, 0.1], [0.2, 0.2]], np.zeros((1, 2)), [0, 0, 0]) == [2, 1, 0]


def test_doubt_decides_among_alike():
    assert places([[0.0, 0.0]] * 3, NOTHING, [0.1, 0.9, 0.5]) == [1, 2, 0]


def test_scenes_take_turns():
    one, other = [[0.0, 0.0]] * 3, [[0.2, 0.2]] * 3
    order = places(one + other, NOTHING, [0.0] * 6)
    assert {place // 3 for place in order[:2]} == {0, 1}


def test_worth_falls():
    worths = [
        worth for _, worth in query_order(np.random.default_rng(0).random((9, 4)), NOTHING, np.zeros(9))
    ]
    assert worths == sorted(worths, reverse=True) and worths[-1] >= 0
    assert len(worths) == 9 and worths[0] == pytest.approx(1)
