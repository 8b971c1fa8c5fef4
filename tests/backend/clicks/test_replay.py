"""The replay of clicks: what a map is computed from, and what is not computed again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backend.clicks.map_cache import MapCache
from backend.clicks.replay import ClickSequence, map_before, replay
from backend.clicks.target import Target
from backend.label_studio.predict_request import PredictRequest, Prompt
from backend.metrics import Metrics
from backend.redis_store import OptionalRedis
from model.click import Click
from tests.backend.predict_bodies import keypoint, predict, rectangle

IMAGE = np.zeros((100, 200, 3), np.uint8)
MODEL: Any = SimpleNamespace(version="base-1-a", device="cpu")
K1, K2, K3 = keypoint("k1", 10, 10), keypoint("k2", 20, 20), keypoint("k3", 30, 30, positive=False)


class Counting:
    """A predictor whose map tells how many passes made it, and which remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(
        self, image: np.ndarray, clicks: tuple[Click, ...], previous: np.ndarray | None
    ) -> np.ndarray:
        self.asked.append(len(clicks))
        start = np.zeros((100, 200), np.uint8) if previous is None else previous
        return start + 1


def sequence(*prompts: dict[str, Any], target: Target | None = None) -> ClickSequence:
    context = PredictRequest.parse(predict(*prompts)).context
    assert context is not None
    prompt: Prompt = context[0]
    return ClickSequence.of(prompt, target or Target(), MODEL, "image")


@pytest.fixture
def maps() -> MapCache:
    return MapCache(OptionalRedis(None), 1 << 20, ttl_s=60)


def played(made: ClickSequence, maps: MapCache) -> tuple[np.ndarray, list[int]]:
    """Replay; return the map, and the number of clicks at every pass of the network."""
    predictor: Any = Counting()
    return replay(made, predictor, IMAGE, maps, Metrics()), predictor.asked


def test_every_click_is_a_pass_over_the_map_before_it(maps: MapCache) -> None:
    values, passes = played(sequence(K1, K2, K3), maps)
    assert passes == [1, 2, 3]
    assert values.max() == 3


def test_only_what_is_new_is_computed(maps: MapCache) -> None:
    played(sequence(K1, K2), maps)
    values, passes = played(sequence(K1, K2, K3), maps)
    assert (passes, values.max()) == ([3], 3)
    assert played(sequence(K1), maps)[1] == [], "a click that was taken back"
    assert played(sequence(K2, K1), maps)[1] == [1, 2], "another order is another story"


def test_a_box_is_a_start_that_gets_a_pass_of_its_own(maps: MapCache) -> None:
    box = sequence(rectangle("r", 10, 10, 50, 50))
    assert (box.boxed, box.empty) == (True, False)
    assert box.start is not None and box.start.shape == (100, 200)
    assert played(box, maps)[1] == [0]
    assert played(box, maps)[1] == []


def test_a_correction_obeys_the_earlier_clicks_too(maps: MapCache) -> None:
    start, earlier = np.full((100, 200), 100, np.uint8), (Click(1, 1), Click(2, 2))
    made = sequence(K3, target=Target("region", start, earlier))
    assert made.in_force == (*earlier, *made.clicks)
    values, passes = played(made, maps)
    assert (passes, values.max()) == ([3], 101)
    other = sequence(K3, target=Target("region", start + 1, earlier))
    assert other.key.name(()) != made.key.name(()), "another mask is another start"


def test_the_map_before_the_newest_click(maps: MapCache) -> None:
    made = sequence(K1, K2)
    assert map_before(made, maps) is None
    played(made, maps)
    before = map_before(made, maps)
    assert before is not None and before.max() == 1


def test_negative_clicks_on_nothing_are_empty() -> None:
    assert sequence(K3).empty
    assert not sequence(K1, K3).empty
    assert not sequence(K3, target=Target("region", np.ones((100, 200), np.uint8))).empty
