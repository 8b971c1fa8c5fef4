"""The policy as a table: what an annotator did, and which object the click must belong to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from backend.clicks.last_object import LastObject
from backend.clicks.map_cache import CacheKey
from backend.clicks.ownership import Whose
from backend.clicks.target import FRESH_S, Surroundings, Target, choose_target, distance, reach
from backend.label_studio.mask_formats import digest
from backend.label_studio.predict_request import PredictRequest
from model.click import Click
from tests.backend.clicks.accepted_masks import HEIGHT, ONE, TWO, WIDTH, draft, region
from tests.backend.predict_bodies import keypoint, predict, rectangle

NOW = 1000.0


def answered(**changes: Any) -> LastObject:
    """An object answered a moment ago: one click in the middle of ONE."""
    values: dict[str, Any] = {
        "region_id": "cm000000000001",
        "key": CacheKey("v", "i", ("Cat",)),
        "clicks": (Click(40, 40),),
        "prompts": ("k1",),
        "together": 1,
        "size": (HEIGHT, WIDTH),
        "at": NOW - 2,
    }
    return LastObject(**{**values, **changes})


def known(last: LastObject | None, **more: Any) -> Surroundings:
    """What else is known: the last object, whose map is 200 inside ONE."""
    return Surroundings(last, lambda _: ONE.astype(np.uint8) * 200, **more)


INSIDE = keypoint("k2", 15, 30)  # pixel (30, 30)
INSIDE_MINUS = keypoint("k2", 15, 30, positive=False)
BESIDE = keypoint("k2", 32, 40)  # pixel (64, 40): 4 to the right of ONE, whose reach is 6
BESIDE_MINUS = keypoint("k2", 32, 40, positive=False)
FAR = keypoint("k2", 40, 80)  # pixel (80, 80)
FAR_MINUS = keypoint("k2", 40, 80, positive=False)
IN_TWO = keypoint("k2", 70, 40)
X = "cm000000000001"
PENDING = keypoint("k1", 20, 40)

NEW = None
CASES = [
    # Nothing else there: a new object.
    ("first click", [INSIDE], {}, None, NEW),
    ("several clicks", [INSIDE, FAR], {}, None, NEW),
    ("box in an accepted mask", [rectangle("r", 12, 25, 5, 5)], draft(region(X, ONE)), answered(), NEW),
    # Correction.
    ("inside an accepted mask", [INSIDE], draft(region(X, ONE)), None, X),
    ("minus inside an accepted mask", [INSIDE_MINUS], draft(region(X, ONE)), None, X),
    ("the same, then a second click", [INSIDE, FAR], draft(region(X, ONE)), None, X),
    ("inside a mask of another label", [INSIDE], draft(region(X, ONE, "Dog")), None, NEW),
    ("inside a hand-made mask", [INSIDE], draft(region("hand", ONE, origin="manual", clicks=None)), None, "hand"),
    ("inside the upper of two masks", [INSIDE], draft(region("low", ONE), region("up", ONE)), None, "up"),
    ("inside a submitted mask", [INSIDE], {"annotations": [{"id": 1, "result": [region(X, ONE)]}]}, None, X),
    # A second object after the first was accepted.
    ("far from the accepted mask", [FAR], draft(region(X, ONE)), None, NEW),
    ("far, while the answer is fresh", [FAR], {}, answered(), NEW),
    ("in the middle of a neighbour", [keypoint("k2", 40, 40)], draft(region(X, ONE)), None, NEW),
    ("beside a mask of several clicks", [BESIDE], draft(region(X, ONE, clicks=2)), None, NEW),
    ("beside a hand-made mask", [BESIDE], draft(region("hand", ONE, clicks=None)), None, NEW),
    ("two clicks beside", [BESIDE, FAR], draft(region(X, ONE)), None, NEW),
    # Auto-Accept, the draft shows the mask.
    ("beside a mask of one click", [BESIDE], draft(region(X, ONE)), None, X),
    ("minus far away", [FAR_MINUS], draft(region(X, ONE)), None, X),
    ("minus: the nearest", [FAR_MINUS], draft(region("near", ONE), region("away", TWO)), None, "near"),
    ("minus, other label only", [FAR_MINUS], draft(region(X, ONE, "Dog")), None, NEW),
    # Auto-Accept, the draft does not show the mask yet.
    ("inside what was just answered", [INSIDE], {}, answered(), X),
    ("beside what was just answered", [BESIDE], {}, answered(), X),
    ("minus after an answer", [BESIDE_MINUS], {}, answered(), X),
    ("minus far after an answer", [FAR_MINUS], {}, answered(), X),
    ("inside another accepted mask", [IN_TWO], draft(region("other", TWO)), answered(), "other"),
    ("the draft lags behind", [INSIDE], draft(region(X, TWO)), answered(), X),
    # Signs that Auto-Accept is off, or none.
    ("rejected: the object had several clicks", [INSIDE], {}, answered(together=2), NEW),
    ("rejected: a later draft holds the click", [INSIDE], draft(PENDING), answered(drafted="2025"), NEW),
    ("a draft that was saved as the click was placed", [INSIDE], draft(PENDING), answered(), X),
    ("several clicks in this request", [INSIDE, BESIDE], {}, answered(), NEW),
    ("minus inside still continues", [INSIDE_MINUS], {}, answered(together=2), X),
    # The ordinary next click, a moved point, a repeated request.
    ("second click of the object", [PENDING, INSIDE], {}, answered(), NEW),
    ("the point was moved", [keypoint("k1", 16, 31)], {}, answered(), NEW),
    # Too old, or another image.
    ("rejected: never seen in a draft", [INSIDE], {}, answered(at=NOW - FRESH_S - 1), NEW),
    ("answered in the future", [INSIDE], {}, answered(at=NOW + 60), NEW),
    ("another image size", [INSIDE], {}, answered(size=(50, 50)), NEW),
]  # fmt: skip


@pytest.mark.parametrize(
    ("clicks", "task", "last", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_which_object(clicks: list, task: dict, last: LastObject | None, expected: str | None) -> None:
    request = PredictRequest.parse(predict(*clicks, **task))
    assert request.context is not None
    target = choose_target(request.context[0], request.tasks[0], known(last), NOW)
    assert target.region_id == expected
    assert (target.start is None) == (expected is None)


@pytest.mark.parametrize(
    ("click", "task", "last"),
    [
        (BESIDE_MINUS, {}, answered(together=2)),
        (BESIDE_MINUS, draft(region(X, ONE)), None),
        (FAR_MINUS, draft(region(X, ONE)), answered(together=2, at=0.0)),
    ],
)
def test_without_auto_accept_a_mask_that_may_be_selected_is_not_replaced(
    click: dict, task: dict, last: LastObject | None
) -> None:
    request = PredictRequest.parse(predict(click, **task))
    assert request.context is not None
    for several in (True, False):
        around = known(last, several=lambda several=several: several)
        target = choose_target(request.context[0], request.tasks[0], around, NOW)
        kept = last is None and not several
        assert target.region_id == (X if kept else None)
        assert target.start is not None and target.prompts  # but it is gone on from
    plus = PredictRequest.parse(predict(BESIDE, **draft(region(X, ONE))))
    assert plus.context is not None
    around = known(None, several=lambda: True)
    assert choose_target(plus.context[0], plus.tasks[0], around, NOW) == Target()


SUBMITTED = {"annotations": [{"id": 1, "completed_by": 5, "result": [region(X, ONE)]}]}


@pytest.mark.parametrize(
    ("click", "whose", "expected"),
    [
        (INSIDE, Whose.OWN, X),
        (INSIDE_MINUS, Whose.OWN, X),
        (INSIDE, Whose.DISPLAYED, NEW),
        (INSIDE_MINUS, Whose.DISPLAYED, X),
        (INSIDE, Whose.UNKNOWN, NEW),
        (INSIDE_MINUS, Whose.UNKNOWN, NEW),
        (BESIDE, Whose.UNKNOWN, NEW),
        (FAR_MINUS, Whose.UNKNOWN, NEW),
    ],
)
def test_what_may_be_somebody_elses_is_not_corrected(click: dict, whose: Whose, expected: str | None) -> None:
    request = PredictRequest.parse(predict(click, **SUBMITTED))
    assert request.context is not None
    target = choose_target(request.context[0], request.tasks[0], known(None, whose=whose), NOW)
    assert target.region_id == expected


def at(*results: dict) -> dict[str, Any]:
    return {"drafts": [{"id": 1, "user": "a@example.com", "updated_at": "2026-02", "result": list(results)}]}


def test_after_undo_a_draft_that_was_saved_since_tells_that_the_answer_was_taken_back() -> None:
    assert decide_on(answered(drafted="2026-01"), INSIDE, **at()).region_id is None
    assert decide_on(answered(drafted="2026-02"), INSIDE, **at()).region_id == X


def test_after_undo_an_annotator_whose_clicks_come_together_begins_anew() -> None:
    request = PredictRequest.parse(predict(INSIDE))
    assert request.context is not None
    for several, expected in ((True, None), (False, X)):
        around = known(answered(), several=lambda several=several: several)
        assert choose_target(request.context[0], request.tasks[0], around, NOW).region_id == expected


@pytest.mark.parametrize(
    ("click", "before", "now", "expected"),
    [
        (INSIDE, True, False, NEW),
        (INSIDE, True, True, X),
        (INSIDE, False, False, X),
        (INSIDE_MINUS, True, False, X),
    ],
)
def test_after_undo_the_editor_has_unselected_the_label(
    click: dict, before: bool, now: bool, expected: str | None
) -> None:
    request = PredictRequest.parse(predict(click))
    assert request.context is not None
    around = known(answered(named=before), named=now)
    assert choose_target(request.context[0], request.tasks[0], around, NOW).region_id == expected


def test_after_accepting_was_undone_its_clicks_make_the_object_again() -> None:
    """The draft still shows the mask, but its clicks are back and come with the request."""
    request = PredictRequest.parse(predict(PENDING, INSIDE, **draft(region(X, ONE, prompts=["k1"]))))
    assert request.context is not None
    assert request.context[0].click_ids == ("k1", "k2")
    assert choose_target(request.context[0], request.tasks[0], known(None), NOW) == Target()


def test_a_moved_click_of_an_accepted_mask_changes_that_mask() -> None:
    saved = draft(region(X, ONE, prompts=["k1"]), PENDING)
    assert decide_on(None, keypoint("k1", 16, 31), **saved).region_id == X


def decide_on(last: LastObject | None, *clicks: dict, **task: Any) -> Target:
    request = PredictRequest.parse(predict(*clicks, **task))
    assert request.context is not None
    return choose_target(request.context[0], request.tasks[0], known(last), NOW)


def test_a_correction_starts_from_the_accepted_mask_and_its_clicks() -> None:
    target = decide_on(None, INSIDE, **draft(region(X, ONE)))
    np.testing.assert_array_equal(target.start, ONE * 255)
    assert target.clicks == (Click(30.0, 30.0),)
    assert target.prompts == ("old",)


def test_clicks_are_forgotten_once_the_annotator_has_painted() -> None:
    painted = region(X, ONE, origin="prediction-changed", digest=digest.of_mask(TWO))
    said = {**painted, "meta": {**painted["meta"], "digest": digest.of_mask(ONE)}}  # a choice, for example
    clicks = [decide_on(None, INSIDE, **draft(entry)).clicks for entry in (painted, said)]
    assert clicks == [(), (Click(30.0, 30.0),)]


def test_what_was_just_answered_goes_on_with_its_map_and_clicks() -> None:
    target = decide_on(answered(), INSIDE)
    np.testing.assert_array_equal(target.start, ONE * 200)
    assert target.clicks == (Click(40, 40),)
    assert target.prompts == ("k1",)


def test_the_draft_is_believed_once_it_shows_the_last_answer() -> None:
    saved = region(X, ONE, prompts=["k1"], points=[[40.0, 40.0, 1]])
    target = decide_on(answered(), INSIDE, **draft(saved))
    np.testing.assert_array_equal(target.start, ONE * 255)


def test_without_the_map_a_fresh_answer_cannot_go_on() -> None:
    request = PredictRequest.parse(predict(INSIDE))
    assert request.context is not None
    gone = Surroundings(answered(), lambda _: None)
    assert choose_target(request.context[0], request.tasks[0], gone, NOW) == Target()


def test_an_unreadable_mask_is_passed_over() -> None:
    broken = region("broken", ONE)
    broken["value"]["rle"] = [1, 2, 3]
    assert decide_on(None, FAR_MINUS, **draft(region(X, ONE), broken)).region_id == X
    assert decide_on(None, INSIDE, **draft(broken)).region_id is None


def test_distance_is_to_the_nearest_edge_of_a_pixel() -> None:
    assert distance(ONE, Click(30, 30)) == 0
    assert distance(ONE, Click(64.0, 40)) == pytest.approx(4.0)
    assert distance(ONE, Click(63.0, 64.0)) == pytest.approx(5.0)
    assert distance(np.zeros((5, 5), bool), Click(1, 1)) == math.inf


def test_reach_grows_with_the_mask_and_stays_inside_a_neighbour() -> None:
    assert reach(ONE) == pytest.approx(6.0)
    assert reach(np.zeros((5, 5), bool)) == 3.0
    assert reach(ONE) < 40 / 2


def test_an_object_whose_other_region_is_damaged_is_not_gone_on_from() -> None:
    sound, broken = region(X, ONE), region(f"{X}-2", ONE, box=[20, 20, 60, 60])
    broken["value"]["rle"] = broken["value"]["rle"][:-3]
    request = PredictRequest.parse(predict(INSIDE, **draft(sound, broken)))
    assert request.context is not None
    assert choose_target(request.context[0], request.tasks[0], known(None), NOW) == Target()


@pytest.mark.parametrize(("click", "expected"), [(INSIDE, NEW), (BESIDE, NEW), (INSIDE_MINUS, X)])
def test_what_may_be_somebody_elses_answer_is_not_added_to(click: dict, expected: str | None) -> None:
    request = PredictRequest.parse(predict(click))
    assert request.context is not None
    around = known(answered(), nameless=True)
    assert choose_target(request.context[0], request.tasks[0], around, NOW).region_id == expected


def test_the_mask_of_a_proposal_that_nobody_clicked_is_taken_for_a_guess() -> None:
    untouched = {"proposed": True, "points": [], "clicks": 0, "prompts": []}
    target = decide_on(None, INSIDE, **draft(region(X, ONE, **untouched)))
    assert target.proposed and target.start is not None
    np.testing.assert_array_equal(target.start >= 128, ONE)
    assert len(np.unique(target.start)) > 10, "it is soft"


@pytest.mark.parametrize(
    "touched", [{"origin": "prediction-changed", "points": []}, {"points": [[30.0, 30.0, 1]]}]
)
def test_the_mask_of_a_proposal_that_was_corrected_is_believed(touched: dict) -> None:
    target = decide_on(None, INSIDE, **draft(region(X, ONE, proposed=True, **touched)))
    assert target.proposed and target.start is not None
    assert set(np.unique(target.start)) == {0, 255}
