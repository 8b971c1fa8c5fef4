"""A project to review: annotations, events of their clicks, and as much of Label Studio's API as a review uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backend.review.click_log import ClickEvent
from tests.backend.click_events import disk_map, events
from tests.backend.drawn_regions import brush
from tests.backend.http_server import answers_json, send_json
from tests.backend.task_studio import TaskStudio
from tests.fine_tune.quality.simulated_steps import effect


class Studio(TaskStudio):
    """Its annotations can be exported, too."""

    def __init__(self, tasks: list[dict[str, Any]]) -> None:
        super().__init__(tasks)
        self.web.routes["/api/projects/3/"] = answers_json({"id": 3, "total_annotations_number": len(tasks)})
        self.web.routes["/api/projects/3/export"] = lambda h: send_json(h, self._exported())

    def _exported(self) -> list[dict[str, Any]]:
        """Label Studio exports tasks with an annotation alone."""
        return [task for task in self.tasks.values() if task["annotations"]]


def result(radius: int, prompts: str, **more: Any) -> dict[str, Any]:
    """A disk of this radius, accepted as it was suggested; `prompts` has a letter for each of its clicks."""
    meta = {"prompts": list(prompts)}
    return brush(f"cm{radius:012d}", disk_map(radius) > 0, **{"origin": "prediction", "meta": meta, **more})


def annotation(number: int, *results: dict[str, Any], user: int = 1, **more: Any) -> dict[str, Any]:
    """An annotation as Label Studio exports it."""
    return {"id": number, "completed_by": user, "result": list(results), "was_cancelled": False, **more}


def doubtful(prompts: Sequence[tuple[str, ...]], **values: Any) -> list[ClickEvent]:
    """Events whose mask moves at every click and doubts itself."""
    shaky = effect(change=0.5, expected=0.4, undecided=0.8, weakest=0.3)
    return [replace(event, effect=shaky) for event in events(*prompts, **values)]


def sure(prompts: Sequence[tuple[str, ...]], **values: Any) -> list[ClickEvent]:
    """Events whose mask hardly moves and is sure of itself."""
    return [
        replace(event, effect=effect(change=0.01, expected=0.97, undecided=0.02))
        for event in events(*prompts, **values)
    ]


def tasks() -> list[dict[str, Any]]:
    """Two tasks with an object each that was clicked, and one with an object that was not."""
    return [
        {"id": 7, "data": {"image": "a.jpg"}, "annotations": [annotation(70, result(12, "ab"))]},
        {"id": 8, "data": {"image": "b.jpg"}, "annotations": [annotation(80, result(12, "cd"))]},
        {"id": 9, "data": {"image": "c.jpg"}, "annotations": [annotation(90, result(12, "", meta={}))]},
    ]
