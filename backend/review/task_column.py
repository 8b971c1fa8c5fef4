"""A number that tasks carry in their data, and the tab of the Data Manager that is ordered by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.label_studio.client import LabelStudio
from backend.label_studio.task_states import TaskStates


@dataclass(frozen=True)
class TaskColumn:
    """Names a number in the data of a project's tasks.

    Attributes:
        name: of the field in the data.
        title: of the tab.
        filters: of the tab, in the Data Manager's form, beside the one that there is a number.
    """

    name: str
    title: str
    filters: tuple[Mapping[str, Any], ...] = ()

    def write(
        self, client: LabelStudio, task: int, number: float | None, states: TaskStates | None = None
    ) -> bool:
        """Write a task's number, or take it away where it is None; return whether that changed anything.

        Args:
            states: told of the change, else the task would have its annotations compared again.

        Raises:
            LabelStudioError: Label Studio refuses or does not answer.
            redis.RedisError: the states cannot be written.
        """
        now = client.task(task)  # the whole of its data is replaced
        if now["data"].get(self.name) == number:
            return False
        rest = {key: value for key, value in now["data"].items() if key != self.name}
        after = client.update_task(task, rest if number is None else {**rest, self.name: number})
        if states is not None:
            states.follow(now, after)
        return True

    def show(self, client: LabelStudio, project: int) -> None:
        """Make the tab, once: people may change it.

        Raises:
            LabelStudioError: Label Studio refuses or does not answer.
        """
        if all(view.get("data", {}).get("title") != self.title for view in client.views(project)):
            client.create_view(project, self.tab())

    def tab(self) -> dict[str, Any]:
        """Return the tab: the tasks with a number, lowest first."""
        column = f"tasks:data.{self.name}"
        numbered = {
            "filter": f"filter:{column}",
            "operator": "greater_or_equal",
            "type": "Number",
            "value": 0,
        }
        return {
            "title": self.title,
            "type": "list",
            "target": "tasks",
            "ordering": [column],
            "filters": {"conjunction": "and", "items": [numbered, *self.filters]},
            "columnsDisplayType": {column: "Number"},  # without it numbers are ordered as text
        }
