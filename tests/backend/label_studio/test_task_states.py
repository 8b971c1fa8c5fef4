"""What is remembered of tasks in a real Redis; what is asked of Label Studio is in test_reconcile_job.py."""

from backend.label_studio.task_states import TaskStates, state_of
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
