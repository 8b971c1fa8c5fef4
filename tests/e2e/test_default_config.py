"""The config of `connect --labels` in the real Label Studio, with a fresh browser profile and untouched settings."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
import requests

from backend.label_studio.connect import label_config
from backend.label_studio.mask_regions import accepted
from tests.e2e.conftest import LABELS, Workplace
from tests.e2e.photos import GOOD, NEAR_RED, RED, YELLOW, iou, jpeg


def begin(workplace: Workplace, image: np.ndarray, config: str) -> int:
    """A new project, its task opened and the Auto-Detect tool chosen; returns the task's id."""
    project, task = workplace.project(jpeg(image), config=config)
    workplace.editor.open(project, task, keep_label=False)
    workplace.editor.tool("key-point-tool")
    return task


def by_label(annotation: dict[str, Any]) -> dict[str, np.ndarray]:
    """Label -> mask of a saved annotation."""
    regions = accepted(annotation["result"])
    assert all(len(region.labels) == 1 for region in regions)
    return {region.labels[0]: region.mask() for region in regions}


@pytest.mark.parametrize("output", ["brush", "polygon", "bitmask"])
def test_two_objects_without_escape_and_without_another_setting(workplace: Workplace, scene, output: str):
    image, red, yellow = scene
    task = begin(workplace, image, label_config(LABELS, (output,)))
    workplace.editor.label("label", "Cat")
    workplace.editor.click(*RED)
    workplace.editor.click(*NEAR_RED[1], key="Control")
    workplace.editor.click(*YELLOW, key="Alt")
    points = [p for p in workplace.last_prompts() if p["type"] == "keypoint"]
    assert [p["is_positive"] for p in points] == [True, True, False]
    workplace.refine(red, GOOD)
    workplace.editor.accept(escape=False)
    workplace.editor.label("label", "Dog")
    workplace.editor.click(*YELLOW)
    workplace.refine(yellow, GOOD)
    workplace.editor.accept(escape=False)
    annotation = workplace.submitted(task)
    masks = by_label(annotation)
    assert iou(masks["Cat"], red) > GOOD
    assert iou(masks["Dog"], yellow) > GOOD


def test_a_click_without_a_label_gets_the_first_and_then_the_last_one(workplace: Workplace, scene):
    image, red, yellow = scene
    task = begin(workplace, image, label_config(LABELS))
    workplace.editor.click(*RED)
    assert workplace.editor.state()["suggestions"][0]["labels"] == ["Cat"]
    workplace.refine(red, GOOD)
    workplace.editor.accept(escape=False)
    workplace.editor.click(*YELLOW)
    workplace.refine(yellow, GOOD)
    workplace.editor.accept(escape=False)
    annotation = workplace.submitted(task)
    assert [region.labels for region in accepted(annotation["result"])] == [("Cat",), ("Cat",)]


def test_relabelling_after_accept_is_what_counts(workplace: Workplace, scene):
    image, red, _ = scene
    task = begin(workplace, image, label_config(LABELS))
    workplace.editor.label("label", "Cat")
    workplace.editor.click(*RED)
    workplace.refine(red, GOOD)
    workplace.editor.accept(escape=False)
    workplace.editor.page.evaluate(
        "() => { const a = Htx.annotationStore.selected; a.selectArea([...a.areas.values()][0]) }"
    )
    workplace.editor.label("label", "Dog")
    annotation = workplace.submitted(task)
    assert list(by_label(annotation)) == ["Dog"]


def exported_files(workplace: Workplace, project: int, kind: str) -> dict[str, bytes]:
    """Name -> contents of the archive that Label Studio makes of a project."""
    answer = requests.get(
        f"{workplace.client.url}/api/projects/{project}/export",
        params={"exportType": kind},
        headers=workplace.client.headers(),
        timeout=60,
    )
    answer.raise_for_status()
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_exports_carry_the_labels(workplace: Workplace, scene):
    image, red, _ = scene
    task = begin(workplace, image, label_config(LABELS))
    workplace.editor.label("label", "Cat")
    workplace.editor.click(*RED)
    workplace.refine(red, GOOD)
    workplace.editor.accept(escape=False)
    annotation = workplace.submitted(task)
    project = annotation["project"]
    exported = workplace.client.annotated_tasks(project)
    assert [region.labels for region in accepted(exported[0]["annotations"][0]["result"])] == [("Cat",)]
    pictures = exported_files(workplace, project, "BRUSH_TO_PNG")
    assert sorted(name.split("-by-1-")[1] for name in pictures) == ["brush-Cat-0.png", "label-Cat-0.png"]
    assert len(set(pictures.values())) == 1  # one object, under the names of both controls
    coco = exported_files(workplace, project, "BRUSH_TO_COCO")
    (told,) = [json.loads(text) for name, text in coco.items() if name.endswith(".json")]
    names = {category["id"]: category["name"] for category in told["categories"]}
    assert [names[record["category_id"]] for record in told["annotations"]] == ["Cat"]
