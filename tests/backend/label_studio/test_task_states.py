"""What is remembered of tasks in a real Redis, and what is asked of Label Studio; see test_reconcile_job.py, too."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.label_studio import task_states
from backend.label_studio.client import LabelStudio
from backend.label_studio.task_states import TaskStates, annotated, listed, state_of
from backend.settings import Settings
from tests.backend.annotated_project import PROJECT, before_the_second_page, export
from tests.backend.http_server import Web
from tests.backend.redis_server import RedisServer

TASK = {"id": 7, "updated_at": "2026-01-01", "total_annotations": 1, "cancelled_annotations": 0}


def test_a_state_tells_every_change() -> None:
    others = [
        {**TASK, "updated_at": "2026-01-02"},
        {**TASK, "total_annotations": 2},
        {**TASK, "cancelled_annotations": 1},
    ]
    assert len({state_of(task) for task in [TASK, *others]}) == 4
    assert state_of({**TASK, "data": {"image": "b.png"}}) == state_of(TASK)


def test_states_are_kept_and_forgotten(redis_server: RedisServer) -> None:
    states, other = TaskStates(redis_server.client(), 3), TaskStates(redis_server.client(), 4)
    assert (states.known(), states.project_state()) == ({}, None)
    states.keep({7: "a", 8: "b"})
    states.keep({8: "c"}, gone={7, 99})
    states.keep_project_state("five")
    assert (states.known(), states.project_state()) == ({8: "c"}, "five")
    assert (other.known(), other.project_state()) == ({}, None)
    states.forget()
    assert (states.known(), states.project_state()) == ({}, None)


def test_a_change_of_our_own_is_none_where_nothing_else_came_between(redis_server: RedisServer) -> None:
    states, after = TaskStates(redis_server.client(), 3), {**TASK, "updated_at": "2026-02"}
    states.follow(TASK, after)
    assert states.known() == {}, "what was never looked at stays so"
    states.keep({7: "older"})
    states.follow(TASK, after)
    assert states.known() == {7: "older"}
    states.keep({7: state_of(TASK)})
    # Label Studio's answer to a change does not tell the counts.
    states.follow(TASK, {"updated_at": "2026-02"})
    assert states.known() == {7: state_of(after)}


Tasks = list[dict[str, Any]]


@pytest.fixture
def tasks() -> Tasks:
    """Two pages of tasks, the newest of which changed last; a test may change them."""
    return [{"id": n, "data": {}, "annotations": [], "updated_at": f"2026-01-{n:03}"} for n in range(1, 151)]


@pytest.fixture
def web(tasks: Tasks) -> Iterator[Web]:
    made = Web()
    export(made, tasks)
    yield made
    made.close()


def removed(tasks: Tasks) -> None:
    tasks[:] = [task for task in tasks if task["id"] not in (5, 120)]


def changed(tasks: Tasks) -> None:
    for number in (30, 130):
        tasks[number - 1]["updated_at"] = "2026-02"


def added(tasks: Tasks) -> None:
    tasks.append({"id": 151, "data": {}, "annotations": [], "updated_at": "2026-02"})


@pytest.mark.parametrize("act", [removed, changed, added])
def test_no_task_is_missing_whatever_happens_between_two_pages(
    web: Web, tasks: Tasks, act: Callable[[Tasks], None]
) -> None:
    studio = LabelStudio(Settings(label_studio_url=web.url))
    before_the_second_page(web, lambda: act(tasks))
    found = listed(studio, PROJECT)
    assert found.keys() >= {task["id"] for task in tasks}
    assert list(found) == sorted(found)


@pytest.mark.parametrize("act", [removed, changed, added])
def test_no_task_is_missing_after_the_newest_changes_were_asked_for(
    web: Web, tasks: Tasks, act: Callable[[Tasks], None], redis_server: RedisServer
) -> None:
    studio, states = (
        LabelStudio(Settings(label_studio_url=web.url)),
        TaskStates(redis_server.client(), PROJECT),
    )
    states.keep(states.changes(studio)[0])
    tasks[139]["updated_at"] = "2026-01-2"
    before_the_second_page(web, lambda: act(tasks))
    fresh, there = states.changes(studio)
    assert 140 in fresh
    assert there == {task["id"] for task in tasks}


def test_all_tasks_are_asked_for_only_where_some_may_be_gone(
    web: Web, tasks: Tasks, redis_server: RedisServer
) -> None:
    studio, states = (
        LabelStudio(Settings(label_studio_url=web.url)),
        TaskStates(redis_server.client(), PROJECT),
    )
    states.keep(states.changes(studio)[0])
    added(tasks)
    web.requests.clear()
    fresh, there = states.changes(studio)
    assert (list(fresh), len(there)) == ([151], 151)
    assert "filters" not in "".join(web.paths())
    states.keep(fresh)
    removed(tasks)
    assert states.changes(studio) == ({}, {task["id"] for task in tasks})


def test_the_masks_of_a_large_project_are_asked_for_in_parts(
    web: Web, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = LabelStudio(Settings(label_studio_url=web.url))
    for task in tasks[20:]:
        made = {"id": task["id"], "result": [], "updated_at": "2026", "was_cancelled": False}
        task["annotations"].append(made)
    export(web, tasks)

    def exports() -> int:
        web.requests.clear()
        assert [task["id"] for task in annotated(studio, PROJECT)] == list(range(21, 151))
        return sum("/export" in path for path in web.paths())

    assert exports() == 1
    monkeypatch.setattr(task_states, "AT_ONCE", 129)
    assert exports() == 3
    tasks.clear()
    assert list(annotated(studio, PROJECT)) == [], "its tasks were deleted meanwhile"
