"""Labeling configs that people have, in the real Label Studio: every one takes a click and saves its mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.label_studio.connect import label_config
from backend.label_studio.mask_regions import accepted, objects
from tests.e2e.conftest import LABELS, Workplace
from tests.e2e.label_configs import labels_beside, pages, separate_rows
from tests.e2e.photos import GOOD, NEAR_RED, RED, iou, jpeg, two_bodies


@pytest.fixture(scope="module")
def red() -> np.ndarray:
    return two_bodies()[1]


@pytest.fixture(scope="module")
def photo(workplace: Workplace) -> str:
    """The address of a photo that Label Studio serves."""
    _, task = workplace.project(jpeg(two_bodies()[0]))
    return workplace.client.task(task)["data"]["image"]


def begin(workplace: Workplace, config: str, data: dict[str, Any]) -> int:
    """A new project, its task opened with the editor's own settings; returns the task's id."""
    project, task = workplace.project_of(data, config)
    workplace.editor.open(project, task, keep_label=False)
    return task


def check(workplace: Workplace, task: int, red: np.ndarray, types: set[str]) -> list[Any]:
    """Accept, submit, and look at what was saved: the red body, as a Dog."""
    workplace.editor.accept()
    annotation = workplace.submitted(task)
    assert {result["type"] for result in annotation["result"]} == types
    regions = accepted(annotation["result"])
    for region in regions:
        assert region.labels == ("Dog",)
        assert iou(region.mask(), red) > GOOD
    return regions


CONFIGS = {
    "rows, bitmask": ("kp", separate_rows(LABELS, "bitmask"), {"bitmasklabels"}),
    "rows, brush and polygon": (
        "kp",
        separate_rows(LABELS, "brush", "polygon"),
        {"brushlabels", "polygonlabels"},
    ),
    "labels beside a brush": ("label", labels_beside(LABELS, "Brush"), {"brush", "labels"}),
    "labels beside a polygon": ("label", labels_beside(LABELS, "Polygon"), {"polygon", "labels"}),
    "labels beside a bitmask": ("label", labels_beside(LABELS, "Bitmask"), {"bitmask", "labels"}),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_of_older_projects(workplace: Workplace, photo: str, red: np.ndarray, name: str) -> None:
    control, config, types = CONFIGS[name]
    task = begin(workplace, config, {"image": photo})
    workplace.editor.tool("key-point-tool")
    workplace.editor.label(control, "Dog")
    workplace.editor.click(*RED)
    check(workplace, task, red, types)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("$doc.image", lambda url: {"doc": {"image": url}}),
        ("$docs[1].image", lambda url: {"docs": [{}, {"image": url}]}),
    ],
)
def test_an_image_inside_other_data(
    workplace: Workplace, photo: str, red: np.ndarray, value: str, data: Any
) -> None:
    task = begin(workplace, label_config(LABELS).replace("$image", value), data(photo))
    workplace.editor.tool("key-point-tool")
    workplace.editor.label("label", "Dog")
    workplace.editor.click(*RED)
    check(workplace, task, red, {"brushlabels"})


def test_the_second_page_of_a_repeater(workplace: Workplace, photo: str, red: np.ndarray) -> None:
    other, *_ = two_bodies()
    _, first = workplace.project(jpeg(other[:, ::-1]))
    data = {"pages": [{"image": workplace.client.task(first)["data"]["image"]}, {"image": photo}]}
    task = begin(workplace, pages(LABELS), data)
    workplace.editor.next_page()
    workplace.editor.tool("key-point-tool")
    workplace.editor.page.locator(".lsf-label").nth(1).click()  # the rows of this page alone are there
    workplace.editor.click(*RED)
    (region,) = check(workplace, task, red, {"brushlabels"})
    assert region.to_name == "page_1"


def test_a_bitmask_is_corrected_without_breaking_the_editor(
    workplace: Workplace, photo: str, red: np.ndarray
) -> None:
    """A click into a bitmask selects it: to replace a selected one would take the whole editor down."""
    task = begin(workplace, label_config(LABELS, ("bitmask",)), {"image": photo})
    workplace.editor.tool("key-point-tool")
    workplace.editor.label("label", "Dog")
    workplace.editor.click(*RED)
    workplace.editor.accept(escape=False)
    workplace.editor.save_draft()
    (before,) = workplace.editor.state()["regions"]
    for _ in range(2):  # the first one selects
        workplace.editor.click(*NEAR_RED[0], key="Control")
    (suggestion,) = workplace.editor.state()["suggestions"]
    assert suggestion["id"] != before["id"]
    workplace.editor.accept(escape=False)
    annotation = workplace.submitted(task)
    (corrected,) = objects(accepted(annotation["result"]))
    assert (corrected.id, len(corrected.prompts)) == (suggestion["id"], 2)
    assert iou(corrected.mask(), red) > GOOD
