"""An annotator's work in the real Label Studio: click, correct, accept, submit, read back."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.label_studio.mask_regions import accepted
from tests.e2e.conftest import Workplace
from tests.e2e.photos import GOOD, NEAR_RED, RED, YELLOW, iou, jpeg


def masks(annotation: dict[str, Any], label: str) -> list[np.ndarray]:
    """Masks of one label in a saved annotation."""
    return [region.mask() for region in accepted(annotation["result"]) if region.labels == (label,)]


def begin(
    workplace: Workplace, photo: bytes, output: str = "brush", auto_accept: bool = False
) -> tuple[int, int]:
    """A new task, opened, with the tool and the label Cat chosen; returns the numbers of project and task."""
    project, task = workplace.project(photo, output=output)
    workplace.editor.open(project, task, auto_accept=auto_accept)
    workplace.editor.tool("key-point-tool")
    workplace.editor.label("kp", "Cat")
    return project, task


def finished(workplace: Workplace, task: int, truth: np.ndarray) -> np.ndarray:
    """Refine, accept and submit; returns the only mask, which is good and a Cat."""
    workplace.refine(truth, GOOD)
    workplace.editor.accept()
    (mask,) = masks(workplace.submitted(task), "Cat")
    assert iou(mask, truth) > GOOD
    return mask


def test_clicks_make_a_mask_that_is_saved_as_shown(workplace: Workplace, scene):
    image, red, yellow = scene
    _, task = begin(workplace, jpeg(image))
    workplace.editor.click(*RED)
    workplace.editor.click(*NEAR_RED[1])
    workplace.editor.click(*YELLOW, key="Alt")
    state = workplace.editor.state()
    assert [s["type"] for s in state["suggestions"]] == ["brushregion"]
    prompts = workplace.last_prompts()
    assert [p["is_positive"] for p in prompts] == [True, True, False]
    workplace.refine(red, GOOD)
    clicks = len(workplace.last_prompts())
    workplace.editor.accept()
    assert len(workplace.editor.state()["regions"]) == 1  # the points are gone, the mask is left
    annotation = workplace.submitted(task)
    (mask,) = masks(annotation, "Cat")
    assert iou(mask, red) > GOOD
    assert iou(mask, yellow) < 0.05
    (result,) = [r for r in annotation["result"] if r["type"] == "brushlabels"]
    assert result["origin"] == "prediction"
    assert result["meta"]["model_version"].startswith("base-1-")
    assert result["meta"]["clicks"] == clicks


def test_two_objects_of_two_labels(workplace: Workplace, scene):
    image, red, yellow = scene
    project, task = workplace.project(jpeg(image))
    workplace.editor.open(project, task)
    workplace.editor.tool("key-point-tool")
    for label, place, truth in (("Cat", RED, red), ("Dog", YELLOW, yellow)):
        workplace.editor.label("kp", label)
        workplace.editor.click(*place)
        workplace.refine(truth, GOOD)
        workplace.editor.accept()
    annotation = workplace.submitted(task)
    assert iou(masks(annotation, "Cat")[0], red) > GOOD
    assert iou(masks(annotation, "Dog")[0], yellow) > GOOD


def test_a_rectangle_is_a_prompt(workplace: Workplace, scene):
    image, _, yellow = scene
    project, task = workplace.project(jpeg(image))
    workplace.editor.open(project, task)
    workplace.editor.tool("rectangle-tool")
    workplace.editor.label("rect", "Dog")
    workplace.editor.drag((375 / 640, 130 / 480), (555 / 640, 330 / 480))
    workplace.editor.accept()
    annotation = workplace.submitted(task)
    assert iou(masks(annotation, "Dog")[0], yellow) > GOOD


def test_clicks_refine_what_a_box_began(workplace: Workplace, scene):
    """The editor sends them without the box, while the draft tells that it is still there."""
    image, red, yellow = scene
    _, task = begin(workplace, jpeg(image))
    workplace.editor.click(*YELLOW)
    workplace.refine(yellow, GOOD)
    workplace.editor.accept()
    workplace.editor.tool("rectangle-tool")
    workplace.editor.label("rect", "Cat")
    workplace.editor.drag((77 / 640, 96 / 480), (320 / 640, 408 / 480))
    workplace.editor.save_draft()
    workplace.editor.tool("key-point-tool")
    workplace.editor.label("kp", "Cat")
    workplace.editor.click(77 / 640, 96 / 480, key="Control+Alt")
    workplace.editor.click(*RED, key="Control")
    assert {prompt["type"] for prompt in workplace.last_prompts()} == {"keypointlabels"}
    workplace.editor.accept()
    made_by = [region.meta.prompts for region in accepted(workplace.submitted(task)["result"])]
    assert [len(prompts) for prompts in made_by[1:]] == [3]  # the box and two clicks
    first, second = masks(workplace.annotations(task)[0], "Cat")
    assert iou(first, yellow) > GOOD
    assert iou(second, red) > GOOD


def test_polygons_where_the_config_has_polygons(workplace: Workplace, scene):
    image, red, _ = scene
    _, task = begin(workplace, jpeg(image), output="polygon")
    workplace.editor.click(*RED)
    workplace.editor.click(*NEAR_RED[0])
    workplace.refine(red, GOOD)
    workplace.editor.accept()
    annotation = workplace.submitted(task)
    polygons = [r for r in annotation["result"] if r["type"] == "polygonlabels"]
    assert polygons
    assert all(len(p["value"]["points"]) < 200 for p in polygons)
    assert iou(masks(annotation, "Cat")[0], red) > GOOD


def test_a_photo_with_exif_rotation(workplace: Workplace, scene):
    image, red, _ = scene
    _, task = begin(workplace, jpeg(image, orientation=6))
    workplace.editor.click(*RED)
    workplace.editor.click(*NEAR_RED[1])
    assert finished(workplace, task, red).shape == (480, 640)


def test_a_click_in_an_accepted_mask_corrects_it(workplace: Workplace, scene):
    image, red, _ = scene
    _, task = begin(workplace, jpeg(image))
    workplace.editor.click(*RED)
    workplace.editor.accept()
    workplace.editor.save_draft()  # until then nobody but the browser knows that the mask was accepted
    (before,) = workplace.editor.state()["regions"]
    workplace.editor.label("kp", "Cat")
    # Ctrl places a point where a plain click would select.
    workplace.editor.click(*NEAR_RED[0], key="Control")
    (suggestion,) = workplace.editor.state()["suggestions"]
    assert suggestion["id"] == before["id"]
    workplace.refine(red, GOOD)
    workplace.editor.accept()
    assert [r["id"] for r in workplace.editor.state()["regions"]] == [before["id"]]
    annotation = workplace.submitted(task)
    (mask,) = masks(annotation, "Cat")
    assert iou(mask, red) > GOOD


def test_after_a_reload_the_points_still_count_as_they_were_placed(workplace: Workplace, scene):
    image, red, _ = scene
    project, task = begin(workplace, jpeg(image))
    workplace.editor.click(*RED)
    workplace.editor.click(*YELLOW, key="Alt")
    workplace.editor.save_draft()
    # The suggestion is lost, the points are restored without their polarity.
    workplace.editor.open(project, task)
    workplace.editor.tool("key-point-tool")
    workplace.editor.label("kp", "Cat")
    workplace.editor.click(*NEAR_RED[1], key="Control")
    assert len(workplace.last_prompts()) == 3
    (suggestion,) = workplace.editor.state()["suggestions"]
    assert suggestion["type"] == "brushregion"
    assert not finished(workplace, task, red)[230, 465]  # the negative click is still negative


def test_a_restart_of_the_backend_between_two_clicks_changes_nothing(workplace: Workplace, scene):
    image, red, _ = scene
    _, task = begin(workplace, jpeg(image))
    workplace.editor.click(*RED)
    workplace.restart_backend()
    workplace.editor.click(*NEAR_RED[1])
    finished(workplace, task, red)


def test_with_auto_accept_a_click_nearby_refines_the_same_region(workplace: Workplace, scene):
    image, red, _ = scene
    _, task = begin(workplace, jpeg(image), auto_accept=True)
    workplace.editor.click(*RED)
    workplace.editor.click(*NEAR_RED[0], key="Control")
    workplace.editor.click(*YELLOW, key="Alt")
    workplace.refine(red, GOOD)
    regions = [r for r in workplace.editor.state()["regions"] if r["type"] == "brushregion"]
    assert len(regions) == 1
    annotation = workplace.submitted(task)
    (mask,) = masks(annotation, "Cat")
    assert iou(mask, red) > GOOD


def test_cold_and_warm_processes_answer_the_same_bytes(workplace: Workplace, scene):
    image, *_ = scene
    begin(workplace, jpeg(image))
    for place in (RED, *NEAR_RED):
        workplace.editor.click(*place)
    body = workplace.last_body()
    warm = workplace.predict(body)
    workplace.restart_backend(flush=True)
    assert workplace.predict(body) == warm
