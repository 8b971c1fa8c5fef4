"""Remembers at which state the tasks of a project were looked at, so that only changed ones are looked at again.

Label Studio cannot list annotations without their masks. But it notes at a task when one of its annotations came,
changed or went, and it lists tasks without annotations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from backend.label_studio.client import LabelStudio, Record
from backend.redis_store import RECONCILIATION

PROJECTS = f"{RECONCILIATION}states"  # hash: project -> `LabelStudio.state`
AT_ONCE = 1000  # annotations


def state_of(task: Mapping[str, Any]) -> str:
    """Return a text that becomes another one whenever the task or one of its annotations changes."""
    return f"{task['updated_at']} {task.get('total_annotations')} {task.get('cancelled_annotations')}"


class TaskStates:
    """Keeps the states of one project's tasks, and of the project as a whole.

    Args:
        redis: a `redis.Redis` client. Its errors pass through.
    """

    def __init__(self, redis: Any, project: int) -> None:
        self._redis, self._project = redis, project
        self._key = f"{RECONCILIATION}tasks:{project}"

    def known(self) -> dict[int, str]:
        """Return task -> state."""
        return {int(task): state.decode() for task, state in self._redis.hgetall(self._key).items()}

    def changes(self, studio: LabelStudio) -> tuple[dict[int, str], set[int]]:
        """Ask Label Studio which tasks have changed: the newest changes, and all tasks where some may be gone.

        Returns:
            Task -> state of those that are new or have changed, and the numbers of all tasks that there are.

        Raises:
            LabelStudioError: it refuses or does not answer.
        """
        known = self.known()
        if known:
            changed, total = self._newest(studio, known)
            there = known.keys() | changed.keys()
            if len(there) == total:  # none is missing
                return changed, there
        tasks = listed(studio, self._project)
        return _differing(tasks, known), set(tasks)

    def _newest(self, studio: LabelStudio, known: Mapping[int, str]) -> tuple[dict[int, str], int]:
        """Return the changed tasks up to a page without any, and the number of all tasks.

        Tasks that come, change or go meanwhile move others to another page, so one that is not seen may be there.
        """
        changed, page, seen = dict[int, str](), 1, 0
        while True:
            tasks, total = studio.page(self._project, {"ordering": ["-tasks:updated_at"]}, page)
            fresh, seen = _differing(_states(tasks), known), seen + len(tasks)
            changed |= fresh
            # All that follow changed earlier; and a page after the last one would be an error.
            if not fresh or seen >= total:
                return changed, total
            page += 1

    def keep(self, states: Mapping[int, str], gone: Iterable[int] = ()) -> None:
        """Remember the states of some tasks, and forget the tasks that are gone."""
        lost = [str(task) for task in gone]
        if lost:
            self._redis.hdel(self._key, *lost)
        if states:
            self._redis.hset(self._key, mapping={str(task): state for task, state in states.items()})

    def follow(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Take note of a change of our own to a task's data, which is no reason to look at it again.

        Args:
            before, after: the task, as Label Studio gave it before the change and after it.
        """
        task, updated = str(before["id"]), after.get("updated_at")
        known = self._redis.hget(self._key, task)
        if updated is not None and known is not None and known.decode() == state_of(before):
            self._redis.hset(self._key, task, state_of({**before, "updated_at": updated}))

    def project_state(self) -> str | None:
        """Return the state of the project when all of its tasks were looked at last; None for never."""
        state = self._redis.hget(PROJECTS, str(self._project))
        return None if state is None else state.decode()

    def keep_project_state(self, state: str) -> None:
        """Remember the state of the project as a whole."""
        self._redis.hset(PROJECTS, str(self._project), state)

    def forget(self) -> None:
        """Forget the project."""
        self._redis.delete(self._key)
        self._redis.hdel(PROJECTS, str(self._project))


def listed(studio: LabelStudio, project: int) -> dict[int, str]:
    """Return task -> state of all tasks that are there all the while, in the order of their numbers.

    Pages begin after the last number. Pages by place skip a task when one before it goes meanwhile, or when it comes
    to the front itself.

    Raises:
        LabelStudioError: it refuses or does not answer.
    """
    found, last = dict[int, str](), 0
    while True:
        above = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": last}
        query = {"filters": {"conjunction": "and", "items": [above]}, "ordering": ["tasks:id"]}
        tasks, left = studio.page(project, query)
        found |= _states(tasks)
        if not tasks or len(tasks) >= left:
            return found
        last = max(found)


def annotated(studio: LabelStudio, project: int) -> Iterator[Record]:
    """Yield all tasks that carry annotations, with full results.

    Of a large project they are asked for in parts: all its masks may be gigabytes, and take longer to export than
    anybody waits. That doubles what Label Studio has to do, so a small one is asked for at once.

    Raises:
        LabelStudioError: it refuses or does not answer.
    """
    if studio.project(project)["total_annotations_number"] <= AT_ONCE:
        yield from studio.annotated_tasks(project)
    else:
        yield from studio.annotated_among(project, list(listed(studio, project)))


def _states(tasks: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    return {int(task["id"]): state_of(task) for task in tasks}


def _differing(tasks: Mapping[int, str], known: Mapping[int, str]) -> dict[int, str]:
    return {task: state for task, state in tasks.items() if known.get(task) != state}
