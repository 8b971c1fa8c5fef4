"""What is said of a project: in words that a person can repeat."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from backend.web.clicks_saved import count
from backend.web.learning import ProjectFigures
from backend.web.project_card import card
from fine_tune.project.outcome import Outcome

BASE = [{"base-1-0a": (2, 8)}, {"base-1-0a": (1, 3)}, {"base-1-0a": (2, 9)}]
OWN = [{"project-3-1-0c": (3, 6)}, {"project-3-1-0c": (2, 5)}, {"project-3-1-0c": (5, 9)}]


def shown(*tallies: dict, served: Mapping[str, Any] = MappingProxyType({}), **figures: Any) -> dict[str, Any]:
    return card(ProjectFigures(3, saved=count(tallies), **figures), Path("/nowhere"), served)


def test_saved_clicks_are_said_with_their_interval() -> None:
    told = shown(*BASE, *OWN)
    (sentence,) = told["sentences"]
    assert sentence.startswith(
        "10 accepted objects took 2.0 clicks each with this project's models, 5 took 4.0"
    )
    assert "about 20 clicks saved so far (95 % interval " in sentence
    assert told["saved"] == "20"


def test_no_saving_is_claimed_that_is_not_sure() -> None:
    told = shown(*BASE, {"project-3-1-0c": (1, 1)}, {"project-3-1-0c": (1, 9)})
    assert "no difference that is sure yet" in told["sentences"][0]
    assert told["saved"] == ""
    told = shown(*BASE, OWN[0])
    assert "too few annotations" in told["sentences"][0]
    assert told["saved"] == ""


def test_lost_clicks_are_said_too() -> None:
    worse = [{"project-3-1-0c": (o * 2, c * 4 + o)} for ((o, c),) in (tally.values() for tally in BASE)]
    told = shown(*BASE, *worse)
    assert "clicks lost so far" in told["sentences"][0]
    assert told["saved"] == ""


def test_one_side_alone_is_counted_without_a_comparison() -> None:
    assert shown(*BASE)["sentences"] == ["5 accepted objects took 4.0 clicks each with the base model"]
    assert shown()["sentences"] == []


OFFERED = {"offered": True, "reason": "118 clicks by hand", "version": "project-3-2-0d"}
KEPT_BACK = {"offered": False, "reason": "too few images", "version": ""}


@pytest.mark.parametrize(
    ("served", "found", "sentence"),
    [
        ({}, [KEPT_BACK, OFFERED], "not offered: too few images"),
        (OFFERED, [OFFERED], "offered: 118 clicks by hand"),
        (OFFERED, [KEPT_BACK, OFFERED], "offered: 118 clicks by hand"),  # the later model was kept back
        ({}, [OFFERED], "not offered: project-3-2-0d is not served"),  # it was rolled back
        (KEPT_BACK, [OFFERED], "not offered: project-3-2-0d is not served"),
        (OFFERED, [], "offered: 118 clicks by hand"),  # Redis was emptied
    ],
)
def test_proposals_are_told_as_they_are_served(
    served: dict[str, Any], found: list[dict[str, Any]], sentence: str
) -> None:
    metrics: list[dict[str, Any]] = [{}, *({"proposals": facts} for facts in found)]
    outcomes = tuple(Outcome("promoted", "why", metrics=each) for each in metrics)
    assert shown(served=served, outcomes=outcomes)["sentences"] == [f"proposals are {sentence}"]


@pytest.mark.parametrize("curve", [None, [], ["x"], {"a": 1}])
def test_a_verdict_without_curves_has_no_chart(curve: Any) -> None:
    metrics = {when: {"clickers": {"classic": {"curve": curve}}} for when in ("before", "after")}
    told = shown(outcomes=(Outcome("kept back", "why", "project-3-1-0c", {}, metrics),))
    assert told["gate"] is None
    assert told["outcomes"][0]["reason"] == "why"


def test_the_last_gate_with_curves_is_the_one_that_is_drawn() -> None:
    curves = {when: {"clickers": {"classic": {"curve": [0.5, 0.9]}}} for when in ("before", "after")}
    outcomes = (
        *[Outcome("skipped", "nothing new")] * 3,
        Outcome("promoted", "better", "project-3-2-0d", {}, curves),
        Outcome("promoted", "better", "project-3-1-0c", {}, curves),
    )
    told = shown(outcomes=outcomes)
    assert told["gate"]["version"] == "project-3-2-0d"
    assert [o["status"] for o in told["outcomes"]] == ["skipped"] * 3
