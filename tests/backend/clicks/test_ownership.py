"""Whose the masks of a request are, with a real HTTP server in Label Studio's place."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from backend.clicks.ownership import Ownership, Whose
from backend.label_studio.client import LabelStudio
from backend.label_studio.drafts import SavedWork
from backend.settings import Settings
from tests.backend.http_server import Web, answers, answers_json

ANNOTATION = {"id": 1, "completed_by": 5, "result": []}
SUBMITTED = SavedWork.read([ANNOTATION], [])


def ownership(web: Web, accounts: int = 2, wanted: int = 1) -> Ownership:
    """What is known once Label Studio has told."""
    web.routes["/api/projects/3/"] = answers_json({"maximum_annotations": wanted})
    web.routes["/api/users/"] = answers_json([{"id": n} for n in range(accounts)])
    made = Ownership(LabelStudio(Settings(label_studio_url=web.url, label_studio_api_key="a" * 40)))
    learned(made)
    return made


def learned(asking: Ownership) -> None:
    """Learn, and wait for it: closing takes back what has not begun."""
    asking.learn(3)
    asking._pool.submit(lambda: None).result()
    asking.close()


def test_what_a_draft_holds_is_the_askers(web: Web) -> None:
    work = SavedWork.read([ANNOTATION], [{"id": 2, "user": "ann@example.com", "result": []}])
    assert ownership(web).of(3, work) is Whose.OWN


def test_where_nothing_was_submitted_there_is_nobody_else(web: Web) -> None:
    assert ownership(web).of(3, SavedWork()) is Whose.OWN


@pytest.mark.parametrize(
    ("accounts", "wanted", "authors", "whose"),
    [
        (1, 1, [5], Whose.OWN),
        (1, 3, [5, 5], Whose.OWN),
        (2, 1, [5], Whose.DISPLAYED),
        (2, 1, [5, 5], Whose.DISPLAYED),
        (2, 1, [5, 6], Whose.UNKNOWN),
        (2, 1, [{"id": 5, "email": "ann@example.com"}, {"id": 6}], Whose.UNKNOWN),
        (2, 2, [5], Whose.UNKNOWN),
    ],
)
def test_label_studio_tells_how_many_annotate(
    web: Web, accounts: int, wanted: int, authors: list[Any], whose: Whose
) -> None:
    work = SavedWork.read([{**ANNOTATION, "completed_by": author} for author in authors], [])
    assert ownership(web, accounts, wanted).of(3, work) is whose


def test_drafts_of_several_people_are_nobodys(web: Web) -> None:
    drafts = [{"id": n, "user": f"{name}@example.com", "result": []} for n, name in enumerate(("ann", "bob"))]
    assert ownership(web).of(3, SavedWork.read([], drafts)) is Whose.UNKNOWN


@pytest.mark.parametrize(
    ("accounts", "wanted", "nameless"), [(1, 1, False), (1, 3, False), (2, 1, False), (2, 2, True)]
)
def test_without_a_draft_another_annotator_may_be_at_work(
    web: Web, accounts: int, wanted: int, nameless: bool
) -> None:
    known = ownership(web, accounts, wanted)
    draft = {"id": 2, "user": "ann@example.com", "result": []}
    assert known.nameless(3, SavedWork()) is nameless
    assert known.nameless(3, SavedWork.read([], [draft])) is False
    assert known.nameless(None, SavedWork()) is False


def test_nobody_waits_for_label_studio(web: Web) -> None:
    answered, in_time = threading.Event(), []

    def slow(handler: Any) -> None:
        in_time.append(answered.wait(60))
        answers(200, b"{}")(handler)

    web.routes["/api/projects/3/"] = slow
    asking = Ownership(LabelStudio(Settings(label_studio_url=web.url, label_studio_api_key="a" * 40)))
    assert asking.of(3, SUBMITTED) is Whose.DISPLAYED
    answered.set()
    learned(asking)
    assert in_time == [True]


@pytest.mark.parametrize("answer", [b"[]", b'{"maximum_annotations": "x"}', b"<html>"])
def test_an_odd_answer_is_no_knowledge(web: Web, answer: bytes) -> None:
    web.routes["/api/projects/3/"] = answers(200, answer)
    asking = Ownership(LabelStudio(Settings(label_studio_url=web.url, label_studio_api_key="a" * 40)))
    learned(asking)
    assert asking.of(3, SUBMITTED) is Whose.DISPLAYED


def test_without_a_token_nobody_is_asked(web: Web) -> None:
    asking = Ownership(LabelStudio(Settings(label_studio_url=web.url)))
    assert asking.of(3, SUBMITTED) is Whose.DISPLAYED
    asking.close()
    assert web.requests == []


def test_it_is_not_asked_for_every_click(web: Web) -> None:
    known = ownership(web)
    asked = len(web.requests)
    for _ in range(3):
        known.of(3, SUBMITTED)
    assert len(web.requests) == asked
