"""Annotated with care and without, ranked by how it was clicked, and read back in the Data Manager's order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from backend.review.project_review import COLUMN, TAB
from model.click import Click
from model.evaluation.clicker import next_click
from tests import commands
from tests.e2e.conftest import Workplace
from tests.e2e.photos import iou, jpeg, two_bodies
from tests.label_studio_calls import create_annotation, import_photo, mask_of, prompt, send_prompts
from tests.waiting import until

SHAPE = (480, 640)
CARELESS = [Click(60, 60), Click(330, 250), Click(200, 250, positive=False), Click(600, 440)]


class Annotator:
    """Clicks in the browser's place: the same calls to Label Studio, which asks the backend."""

    def __init__(self, workplace: Workplace, project: int, task: int) -> None:
        self._client, self._project, self._task = workplace.client, project, task
        self._prompts: list[dict[str, Any]] = []
        self.result: list[dict[str, Any]] = []

    def click(self, click: Click) -> np.ndarray:
        """Place a click; returns the mask of the suggestion."""
        self._prompts.append(prompt(click, SHAPE))
        self.result = send_prompts(self._client, self._project, self._task, self._prompts)["result"]
        return mask_of(self.result, SHAPE)

    def submit(self) -> int:
        """Accept and submit; returns the annotation's id."""
        return create_annotation(self._client, self._task, self.result)["id"]


@pytest.fixture(scope="module")
def project(workplace: Workplace) -> tuple[int, list[int], list[float]]:
    """A project of two tasks, the first annotated with care and the second without; and the true IoUs."""
    image, red, _ = two_bodies()
    project, first = workplace.project(jpeg(image))
    import_photo(workplace.client, project, jpeg(image), "other.jpg")
    second = next(task["id"] for task in workplace.client.tasks(project) if task["id"] != first)
    careful, mask, clicks = Annotator(workplace, project, first), np.zeros(SHAPE, bool), []
    while len(clicks) < 6 and iou(mask, red) < 0.95:
        click = next_click(red, mask, clicks)
        assert click is not None
        clicks.append(click)
        mask = careful.click(click)
    careful.submit()
    careless = Annotator(workplace, project, second)
    for click in CARELESS:
        bad = careless.click(click)
    careless.submit()
    return project, [first, second], [iou(mask, red), iou(bad, red)]


def review(workplace: Workplace, project: int, *options: str) -> list[dict[str, Any]]:
    """Run the command as an operator does."""
    done = commands.run(workplace.backend.environment, "review", project, "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def numbers(workplace: Workplace, tasks: list[int]) -> list[float | None]:
    return [workplace.client.task(task)["data"].get(COLUMN) for task in tasks]


def test_the_careless_annotation_comes_first(workplace: Workplace, project, tmp_path):
    number, tasks, ious = project
    assert ious[0] > ious[1] + 0.3  # or there is nothing to tell
    rows = review(workplace, number, "--sheet", str(tmp_path / "worst.png"))
    assert [row["task"] for row in rows] == tasks[::-1]
    assert rows[0]["iou"] < rows[1]["iou"]
    assert rows[0]["reasons"][0] == "4 clicks"
    assert (tmp_path / "worst.png").stat().st_size > 10_000
    assert numbers(workplace, tasks) == [None, None]  # nothing was written


def test_the_order_is_in_the_data_manager_and_follows_changes(workplace: Workplace, project):
    number, tasks, _ = project
    before = [workplace.annotations(task)[0]["result"] for task in tasks]
    rows = review(workplace, number, "--apply")
    view = next(view for view in workplace.client.views(number) if view["data"]["title"] == TAB)
    shown = workplace.client.call("GET", "/api/tasks", params={"project": number, "view": view["id"]})
    assert [task["id"] for task in shown["tasks"]] == tasks[::-1]
    assert numbers(workplace, tasks) == [rows[1]["iou"], rows[0]["iou"]]
    assert [workplace.annotations(task)[0]["result"] for task in tasks] == before
    (bad,) = workplace.annotations(tasks[1])
    workplace.client.call("DELETE", f"/api/annotations/{bad['id']}/")
    until("the number's removal", lambda: numbers(workplace, tasks)[1] is None, pause_s=0.3)
    assert numbers(workplace, tasks) == [rows[1]["iou"], None]
