"""Remembers how an annotator works: the label used last, and whether several clicks came in one request.

A click may come without a label, and Label Studio does not say whether it accepts every answer at once. Both can be
told from what the same annotator did before; Label Studio names annotators by their drafts, so that the first click
on a task is by nobody it names.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from backend.label_studio.predict_request import Prompt, Task
from backend.redis_store import HABITS, KEPT, OptionalRedis, SharedRecords, readable

TTL_S = 12 * 3600
SEVERAL_S = 600.0  # the switch for Auto-Accept may be turned any time
GIVEN = 50  # clicks without a label whose label is remembered

Labels = tuple[str, ...]


@dataclass(frozen=True)
class TaskHabit:
    """What an annotator did last on an image of a task.

    Attributes:
        labels: of the last object.
        given: region id of a click without a label -> the labels it got.
        several_at: when several clicks came in one request, in seconds since the epoch; 0 for never.
        at: when, in seconds since the epoch.
    """

    labels: Labels
    given: dict[str, Labels] = field(default_factory=dict)
    several_at: float = 0.0
    at: float = 0.0

    @staticmethod
    def parse(text: str | bytes) -> TaskHabit:
        """Read what was stored as JSON; ValueError, KeyError, TypeError or AttributeError for anything else."""
        value = json.loads(text)
        given = {str(number): tuple(map(str, labels)) for number, labels in value["given"].items()}
        return TaskHabit(
            tuple(map(str, value["labels"])), given, float(value["several_at"]), float(value["at"])
        )


@dataclass(frozen=True)
class AnnotatorHabit:
    """What an annotator did last in a project: labels, and times as in `TaskHabit`."""

    labels: Labels
    at: float = 0.0
    several_at: float = 0.0

    @staticmethod
    def parse(text: str | bytes) -> AnnotatorHabit:
        """Read what was stored as JSON, also by earlier versions; errors as for `TaskHabit.parse`."""
        value = json.loads(text)
        labels, several_at = tuple(map(str, value["labels"])), value.get("several_at", 0.0)
        return AnnotatorHabit(labels, float(value["at"]), float(several_at))


class Habits:
    """Keeps habits in this process, and in Redis for the other ones."""

    def __init__(self, store: OptionalRedis) -> None:
        self._store = store
        self._tasks = SharedRecords(store, HABITS, TaskHabit.parse, TTL_S)
        self._annotators: OrderedDict[tuple[str, str], AnnotatorHabit] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, project: int | None, task: Task, prompt: Prompt, unlabelled: bool) -> None:
        """Remember a prompt that was answered; ``unlabelled`` where its labels are ours."""
        now, user = time.time(), task.saved.annotator
        known = self._task(project, task, prompt)
        given = dict(known.given) if known else {}
        if unlabelled:
            given.update(dict.fromkeys(prompt.ids, prompt.labels))
        several = now if len(prompt.clicks) > 1 else known.several_at if known else 0.0
        habit = TaskHabit(prompt.labels, dict(list(given.items())[-GIVEN:]), several, now)
        self._tasks.put(_task_key(project, task, prompt, user), habit, json.dumps(asdict(habit)))
        hash_key = f"{HABITS}{project}"
        with self._lock:
            before = self._annotators.get((str(project), user))
            annotator = AnnotatorHabit(prompt.labels, now, max(several, before.several_at if before else 0.0))
            self._annotators[str(project), user] = annotator
            self._annotators.move_to_end((str(project), user))
            if len(self._annotators) > KEPT:
                self._annotators.popitem(last=False)

        def write(client: Any) -> None:
            pipe = client.pipeline(transaction=False)
            pipe.hset(hash_key, user, json.dumps(asdict(annotator)))
            pipe.expire(hash_key, TTL_S)
            pipe.execute()

        self._store.write_behind(write)

    def label(
        self, project: int | None, task: Task, prompt: Prompt, drawn: Labels, choices: Sequence[str]
    ) -> Labels:
        """Choose labels for a prompt that came without.

        Those that its earlier clicks got, else those used last on this task, else by this annotator, else the first.

        Args:
            drawn: labels of the object that was accepted last on this task, () for none.
            choices: what may be chosen; () where there are no labels, or any.
        """
        known = self._task(project, task, prompt)
        wishes = [known.given[number] for number in prompt.ids if known and number in known.given]
        wishes += [known.labels] if known else []
        wishes += [drawn]
        wishes += [habit.labels for habit in self._by_annotator(project, task)]
        fitting = (labels for labels in wishes if labels and set(labels) <= set(choices))
        return next(fitting, tuple(choices[:1]))

    def several(self, project: int | None, task: Task, prompt: Prompt) -> bool:
        """Tell whether the annotator's clicks came together lately, as they do without Auto-Accept.

        The switch is one for all tasks. Where nobody is named, it has to be so with all who work in the project.
        """
        since, known = time.time() - SEVERAL_S, self._task(project, task, prompt)
        if known is not None and known.several_at > since:
            return True
        user, lately = task.saved.annotator, dict[str, float]()
        for name, habit in self._habits(project):
            if habit.at > since:
                lately[name] = max(lately.get(name, 0.0), habit.several_at)
        if len({*lately, user} - {""}) <= 1:  # who was not named is the only one who works here
            return max(lately.values(), default=0.0) > since
        asking = [user] if user else lately.keys() - {""}
        return all(lately.get(name, 0.0) > since for name in asking)

    def _task(self, project: int | None, task: Task, prompt: Prompt) -> TaskHabit | None:
        users = dict.fromkeys((task.saved.annotator, ""))
        return self._tasks.newest([_task_key(project, task, prompt, user) for user in users])

    def _by_annotator(self, project: int | None, task: Task) -> list[AnnotatorHabit]:
        """Return the habits of who asks, newest first; where nobody is named, of the only one who works here."""
        habits, user = self._habits(project), task.saved.annotator
        named = {user, *(name for name, _ in habits)} - {""}
        wanted = {"", *named} if len(named) <= 1 else {user} - {""}
        return sorted((habit for name, habit in habits if name in wanted), key=lambda habit: -habit.at)

    def _habits(self, project: int | None) -> list[tuple[str, AnnotatorHabit]]:
        """Return what is known of a project's annotators with their e-mails, "" for whom nothing named."""
        stored: dict[bytes, bytes] = self._store.attempt(
            lambda client: client.hgetall(f"{HABITS}{project}"), {}
        )
        with self._lock:
            found = [
                (name, habit) for (number, name), habit in self._annotators.items() if number == str(project)
            ]
        for name, text in stored.items():
            found += [(name.decode(errors="replace"), h) for h in readable([text], AnnotatorHabit.parse)]
        return found


def _task_key(project: int | None, task: Task, prompt: Prompt, user: str) -> str:
    return json.dumps([project, task.id, user, prompt.to_name, prompt.item_index])
