"""Clicks after a box, which the editor sends without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.clicks.last_object import LastObject
from backend.clicks.map_cache import CacheKey
from backend.clicks.target import FRESH_S, Surroundings, Target, choose_target
from backend.label_studio.predict_request import PredictRequest
from backend.label_studio.prompt_regions import Box
from model.click import Click
from tests.backend.clicks.accepted_masks import HEIGHT, ONE, TWO, WIDTH, draft, region
from tests.backend.predict_bodies import keypoint, predict, rectangle

NOW = 1000.0
BOX = Box(10, 10, 70, 70)
X = "cm000000000001"
DRAWN = rectangle("r1", 5, 10, 30, 60)
INSIDE, PART = keypoint("k1", 15, 30), keypoint("k1", 33, 15)  # the latter in the box, and not in ONE
MINUS = keypoint("k1", 15, 30, positive=False)
FAR, FAR_MINUS = keypoint("k1", 90, 90), keypoint("k1", 90, 90, positive=False)
SECOND = keypoint("k2", 20, 50)
LATE = NOW - FRESH_S - 1


def boxed(*clicks: Click, **changes: Any) -> LastObject:
    """An object answered a moment ago: ONE in a box, and perhaps with the click k1 after it."""
    values: dict[str, Any] = {
        "region_id": X,
        "key": CacheKey("v", "i", ("Cat",), "box"),
        "clicks": clicks,
        "prompts": ("k1", "r1") if clicks else ("r1",),
        "together": len(clicks),
        "size": (HEIGHT, WIDTH),
        "at": NOW - 2,
        "box": BOX,
        "box_id": "r1",
    }
    return LastObject(**{**values, **changes})


def target(last: LastObject, *clicks: dict, task: dict[str, Any], **more: Any) -> Target:
    request = PredictRequest.parse(predict(*clicks, **task))
    assert request.context is not None
    known = Surroundings(last, lambda _: ONE.astype(np.uint8) * 200, **more)
    return choose_target(request.context[0], request.tasks[0], known, NOW)


UNDER = region("other", ONE)
CASES = [
    ("inside", boxed(), [INSIDE], {}, X),
    ("a part that is missing", boxed(), [PART], {}, X),
    ("minus", boxed(), [MINUS], {}, X),
    ("late, but the draft holds the box", boxed(at=LATE), [INSIDE], draft(DRAWN), X),
    ("minus over an accepted mask", boxed(), [MINUS], draft(UNDER, DRAWN), X),
    ("after a click that was there before", boxed(), [FAR, keypoint("k2", 15, 30)], {}, X),
    ("the next click", boxed(Click(30, 30), at=LATE), [INSIDE, SECOND], {}, None),
    ("its only click was taken back", boxed(Click(30, 30), drafted="2025"), [SECOND], draft(DRAWN), X),
    ("its click was moved", boxed(Click(30, 30), at=LATE), [keypoint("k1", 17, 33)], draft(DRAWN, INSIDE), None),
]  # fmt: skip
OVER = [
    ("clicked, and accepted at once", boxed(Click(30, 30)), [SECOND], draft(DRAWN)),
    ("far", boxed(), [FAR], {}),
    ("late", boxed(at=LATE), [INSIDE], {}),
    ("rejected, as a later draft tells", boxed(drafted="2026"), [INSIDE], draft()),
    ("accepted, its box left behind", boxed(at=LATE), [FAR], draft(region(X, TWO, prompts=["r1"]), DRAWN)),
    ("accepted or taken back, and nothing tells which", boxed(Click(30, 30)), [SECOND], {}),
    ("the box was deleted", boxed(Click(30, 30)), [INSIDE, SECOND], draft(INSIDE)),
    ("another size", boxed(size=(5, 5)), [INSIDE], {}),
]


@pytest.mark.parametrize(
    ("last", "clicks", "task", "region_id"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_clicks_are_added_to_the_box(
    last: LastObject, clicks: list, task: dict, region_id: str | None
) -> None:
    assert target(last, *clicks, task=task) == Target(region_id, box=BOX, box_id="r1")


@pytest.mark.parametrize(("last", "clicks", "task"), [c[1:] for c in OVER], ids=[c[0] for c in OVER])
def test_the_box_is_over(last: LastObject, clicks: list, task: dict) -> None:
    assert target(last, *clicks, task=task).box is None


def test_where_clicks_come_together_they_do_so_with_a_box() -> None:
    assert target(boxed(), INSIDE, task={}, several=lambda: True).region_id == X
    assert target(boxed(), PART, task={}, several=lambda: True) == Target(None, box=BOX, box_id="r1")


def test_a_box_that_was_taken_back_or_may_be_somebody_elses_is_over() -> None:
    assert target(boxed(named=True), INSIDE, task={}, named=False).box is None
    assert target(boxed(), INSIDE, task={}, nameless=True).box is None
