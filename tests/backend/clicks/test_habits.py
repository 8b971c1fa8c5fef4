"""Labels for clicks that come without, and what is known of Auto-Accept."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from backend.clicks.habits import SEVERAL_S, Habits
from backend.label_studio.predict_request import PredictRequest, Prompt, Task
from backend.redis_store import HABITS, OptionalRedis
from tests.backend.predict_bodies import keypoint, predict
from tests.backend.redis_server import RedisServer

CHOICES = ("Cup", "Spoon", "Fork")


@pytest.fixture
def habits() -> Habits:
    return Habits(OptionalRedis(None))


def asked(*ids: str, labels: tuple[str, ...] = (), **task: Any) -> tuple[Task, Prompt]:
    request = PredictRequest.parse(predict(*(keypoint(number, 10, 10) for number in ids or ("k",)), **task))
    assert request.context is not None
    return request.tasks[0], replace(request.context[0], labels=labels)


def by(user: str) -> dict[str, Any]:
    return {"drafts": [{"id": 1, "user": user, "result": []}]}


def label(habits: Habits, *ids: str, drawn: tuple[str, ...] = (), **task: Any) -> tuple[str, ...]:
    return habits.label(3, *asked(*ids, **task), drawn, CHOICES)


def note(habits: Habits, *ids: str, labels: tuple[str, ...], unlabelled: bool = False, **task: Any) -> None:
    habits.note(3, *asked(*ids, labels=labels, **task), unlabelled)


def test_the_first_label_where_nothing_is_known(habits: Habits) -> None:
    assert label(habits) == ("Cup",)
    assert habits.label(3, *asked(), (), ()) == ()


def test_the_last_one_used_on_the_task(habits: Habits) -> None:
    note(habits, labels=("Spoon",))
    assert label(habits) == ("Spoon",)
    note(habits, labels=("Fork",))
    assert label(habits) == ("Fork",)


def test_the_label_of_the_mask_that_was_accepted_last(habits: Habits) -> None:
    assert label(habits, drawn=("Fork",)) == ("Fork",)
    note(habits, labels=("Spoon",))
    assert label(habits, drawn=("Fork",)) == ("Spoon",)


def test_the_last_one_the_annotator_used_on_another_task(habits: Habits) -> None:
    note(habits, labels=("Spoon",), **by("ann@example.com"))
    note(habits, labels=("Fork",), **by("bob@example.com"))
    assert label(habits, id=8, **by("ann@example.com")) == ("Spoon",)
    assert label(habits, id=8, **by("bob@example.com")) == ("Fork",)
    assert label(habits, id=8, **by("new@example.com")) == ("Cup",)


def test_an_unnamed_annotator_is_the_only_one_there_is_or_nobody_known(habits: Habits) -> None:
    note(habits, labels=("Spoon",), **by("ann@example.com"))
    assert label(habits, id=8) == ("Spoon",)
    note(habits, labels=("Fork",), **by("bob@example.com"))
    assert label(habits, id=8) == ("Cup",)


def test_an_object_keeps_the_label_that_its_first_click_got(habits: Habits) -> None:
    note(habits, "k1", labels=("Spoon",), unlabelled=True)
    note(habits, "s1", labels=("Fork",))
    assert label(habits, "k1", "k2") == ("Spoon",)
    assert label(habits, "k3") == ("Fork",)


def test_a_label_that_is_gone_from_the_config_is_not_given(habits: Habits) -> None:
    note(habits, labels=("Knife",))
    assert label(habits) == ("Cup",)


def test_projects_and_images_are_told_apart(habits: Habits) -> None:
    note(habits, labels=("Spoon",))
    assert habits.label(4, *asked(), (), CHOICES) == ("Cup",)


def test_clicks_that_came_together_are_known(habits: Habits) -> None:
    def several(**task: Any) -> bool:
        return habits.several(3, *asked(**task))

    assert not several()
    note(habits, "k1", labels=("Cup",), **by("ann@example.com"))
    assert not several(**by("ann@example.com"))
    note(habits, "k1", "k2", labels=("Cup",), **by("ann@example.com"))
    note(habits, "k3", labels=("Cup",), **by("ann@example.com"))
    assert several(**by("ann@example.com"))
    assert several(id=8, **by("ann@example.com")), "the switch is one for all tasks"
    assert several(id=8), "nobody else works here"
    assert not several(**by("bob@example.com"))


def test_an_unnamed_annotator_s_clicks_came_together_where_everybody_s_did(habits: Habits) -> None:
    note(habits, "k1", "k2", labels=("Cup",), **by("ann@example.com"))
    note(habits, "k3", labels=("Cup",), **by("bob@example.com"))
    assert not habits.several(3, *asked(id=8))
    note(habits, "k3", "k4", labels=("Cup",), **by("bob@example.com"))
    assert habits.several(3, *asked(id=8))
    assert not habits.several(4, *asked(id=8))


def test_clicks_that_came_together_long_ago_tell_nothing(
    habits: Habits, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(habits, "k1", "k2", labels=("Cup",))
    later = time.time() + SEVERAL_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    note(habits, "k3", labels=("Cup",))
    assert not habits.several(3, *asked())
    assert not habits.several(3, *asked(id=8))


def test_another_process_knows_it_through_redis(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    note(Habits(store), "k1", "k2", labels=("Spoon",), unlabelled=True, **by("ann@example.com"))
    store.flush()
    other = Habits(OptionalRedis(redis_server.url))
    assert label(other, "k1", **by("ann@example.com")) == ("Spoon",)
    assert label(other, id=8, **by("ann@example.com")) == ("Spoon",)
    assert other.several(3, *asked(**by("ann@example.com")))
    assert other.several(3, *asked(id=8, **by("ann@example.com")))
    assert all(redis_server.client().ttl(key) > 0 for key in redis_server.client().keys(HABITS + "*"))


def test_nonsense_in_redis_is_left_out(redis_server: RedisServer) -> None:
    store, client = OptionalRedis(redis_server.url), redis_server.client()
    note(Habits(store), labels=("Spoon",))
    store.flush()
    for key in client.keys(HABITS + "\\[*"):
        client.set(key, b'{"labels": 5}')
    client.hset(f"{HABITS}3", "", b"[")
    assert label(Habits(OptionalRedis(redis_server.url))) == ("Cup",)
