"""An annotator's work in the real Label Studio: click, correct, accept, submit, read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.label_studio.mask_regions import accepted
from tests.e2e.conftest import Bench
from tests.e2e.photos import iou, jpeg, two_bodies

RED, YELLOW = (200 / 640, 250 / 480), (465 / 640, 230 / 480)
NEAR_RED = ((150 / 640, 190 / 480), (240 / 640, 320 / 480))
GOOD = 0.9


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return two_bodies()


def masks(annotation: dict[str, Any], label: str) -> list[np.ndarray]:
    """Masks of one label in a saved annotation."""
    return [region.mask() for region in accepted(annotation["result"]) if region.labels == (label,)]


def test_clicks_make_a_mask_that_is_saved_as_shown(bench: Bench, scene):
    image, red, yellow = scene
    project, task = bench.project(jpeg(image))
    bench.editor.open(project, task)
    bench.editor.tool("key-point-tool")
    bench.editor.label("kp", "Cat")
    bench.editor.click(*RED)
    bench.editor.click(*NEAR_RED[1])
    bench.editor.click(*YELLOW, key="Alt")
    state = bench.editor.state()
    assert [s["type"] for s in state["suggestions"]] == ["brushregion"]
    prompts = bench.last_prompts()
    assert [p["is_positive"] for p in prompts] == [True, True, False]
    bench.refine(red, GOOD)
    clicks = len(bench.last_prompts())
    bench.editor.accept()
    assert len(bench.editor.state()["regions"]) == 1  # the points are gone, the mask is left
    bench.editor.submit()
    (annotation,) = bench.annotations(task)
    (mask,) = masks(annotation, "Cat")
    assert iou(mask, red) > GOOD
    assert iou(mask, yellow) < 0.05
    (result,) = [r for r in annotation["result"] if r["type"] == "brushlabels"]
    assert result["origin"] == "prediction"
    assert result["meta"]["model_version"].startswith("base-1-")
    assert result["meta"]["clicks"] == clicks


def test_two_objects_of_two_labels(bench: Bench, scene):
    image, red, yellow = scene
    project, task = bench.project(jpeg(image))
    bench.editor.open(project, task)
    bench.editor.tool("key-point-tool")
    for label, place, truth in (("Cat", RED, red), ("Dog", YELLOW, yellow)):
        bench.editor.label("kp", label)
        bench.editor.click(*place)
        bench.refine(truth, GOOD)
        bench.editor.accept()
    bench.editor.submit()
    (annotation,) = bench.annotations(task)
    assert iou(masks(annotation, "Cat")[0], red) > GOOD
    assert iou(masks(annotation, "Dog")[0], yellow) > GOOD


def test_a_rectangle_is_a_prompt(bench: Bench, scene):
    image, _, yellow = scene
    project, task = bench.project(jpeg(image))
    bench.editor.open(project, task)
    bench.editor.tool("rectangle-tool")
    bench.editor.label("rect", "Dog")
    bench.editor.drag((375 / 640, 130 / 480), (555 / 640, 330 / 480))
    bench.editor.accept()
    bench.editor.submit()
    (annotation,) = bench.annotations(task)
    assert iou(masks(annotation, "Dog")[0], yellow) > GOOD


def test_polygons_where_the_config_has_polygons(bench: Bench, scene):
    image, red, _ = scene
    project, task = bench.project(jpeg(image), output="polygon")
    bench.editor.open(project, task)
    bench.editor.tool("key-point-tool")
    bench.editor.label("kp", "Cat")
    bench.editor.click(*RED)
    bench.editor.click(*NEAR_RED[0])
    bench.refine(red, GOOD)
    bench.editor.accept()
    bench.editor.submit()
    (annotation,) = bench.annotations(task)
    polygons = [r for r in annotation["result"] if r["type"] == "polygonlabels"]
    assert polygons
    assert all(len(p["value"]["points"]) < 200 for p in polygons)
    assert iou(masks(annotation, "Cat")[0], red) > GOOD


def test_a_photo_with_exif_rotation(bench: Bench, scene):
    image, red, _ = scene
    project, task = bench.project(jpeg(image, orientation=6))
    bench.editor.open(project, task)
    bench.editor.tool("key-point-tool")
    bench.editor.label("kp", "Cat")
    bench.editor.click(*RED)
    bench.editor.click(*NEAR_RED[1])
    bench.refine(red, GOOD)
    bench.editor.accept()
    bench.editor.submit()
    (annotation,) = bench.annotations(task)
    (mask,) = masks(annotation, "Cat")
    assert mask.shape == (480, 640)
    assert iou(mask, red) > GOOD


def test_a_click_in_an_accepted_mask_corrects_it(bench: Bench, scene):
    image, red, _ = scene
    project, task = bench.project(jpeg(image))
    bench.editor.open(project, task)
    bench.editor.tool("key-point-tool")
    bench.editor.label("kp", "Cat")
    bench.editor.click(*RED)
    bench.editor.accept()
    bench.editor.save_draft()  # until then nobody but the browser knows that the mask was accepted
    (before,) = bench.editor.state()["regions"]
    bench.editor.label("kp", "Cat")
    bench.editor.click(*NEAR_RED[0], key="Control")  # Ctrl places a point where a plain click would select
    (suggestion,) = bench.editor.state()["suggestions"]
    assert suggestion["id"] == before["id"]
    bench.refine(red, GOOD)
    bench.editor.accept()
    assert [r["id"] for r in bench.editor.state()["regions"]] == [before["id"]]
    bench.editor.submit()
    (annotation,) = bench.annotations(task)
    (mask,) = masks(annotation, "Cat")
    assert iou(mask, red) > GOOD


def test_after_a_reload_the_points_still_count_as_they_were_placed(bench: Bench, scene):
    image, red, _ = scene
    project, task = bench.project(jpeg(image))
    bench.editor.open(project, task)
    bench.editor.tool("key-point-tool")
    bench.editor.label("kp", "Cat")
    bench.editor.click(*RED)
    bench.editor.click(*YELLOW, key="Alt")
    bench.editor.save_draft()
    bench.editor.open(project, task)  # the suggestion is lost, the points are restored without their polarity
    bench.editor.tool("key-point-tool")
    bench.editor.label("kp", "Cat")
    bench.editor.click(*NEAR_RED[1], key="Control")
    assert len(bench.last_prompts()) == 3
    (suggestion,) = bench.editor.state()["suggestions"]
    assert suggestion["type"] == "brushregion"
    bench.refine(red, GOOD)
    bench.editor.accept()
    bench.editor.submit()
    (annotation,) = bench.annotations(task)
    (mask,) = masks(annotation, "Cat")
    assert iou(mask, red) > GOOD
    assert not mask[230, 465]  # the negative click is still negative


def test_a_restart_of_the_backend_between_two_clicks_changes_nothing(bench: Bench, scene):
    image, red, _ = scene
    project, task = bench.project(jpeg(image))
    bench.editor.open(project, task)
    bench.editor.tool("key-point-tool")
    bench.editor.label("kp", "Cat")
    bench.editor.click(*RED)
    bench.restart_backend()
    bench.editor.click(*NEAR_RED[1])
    bench.refine(red, GOOD)
    bench.editor.accept()
    bench.editor.submit()
    (annotation,) = bench.annotations(task)
    assert iou(masks(annotation, "Cat")[0], red) > GOOD


def test_with_auto_accept_a_click_nearby_refines_the_same_region(bench: Bench, scene):
    image, red, _ = scene
    project, task = bench.project(jpeg(image))
    bench.editor.open(project, task, auto_accept=True)
    bench.editor.tool("key-point-tool")
    bench.editor.label("kp", "Cat")
    bench.editor.click(*RED)
    bench.editor.click(*NEAR_RED[0], key="Control")
    bench.editor.click(*YELLOW, key="Alt")
    bench.refine(red, GOOD)
    regions = [r for r in bench.editor.state()["regions"] if r["type"] == "brushregion"]
    assert len(regions) == 1
    bench.editor.submit()
    (annotation,) = bench.annotations(task)
    (mask,) = masks(annotation, "Cat")
    assert iou(mask, red) > GOOD


def test_cold_and_warm_processes_answer_the_same_bytes(bench: Bench, scene):
    image, *_ = scene
    project, task = bench.project(jpeg(image))
    bench.editor.open(project, task)
    bench.editor.tool("key-point-tool")
    bench.editor.label("kp", "Cat")
    for place in (RED, *NEAR_RED):
        bench.editor.click(*place)
    body = bench.last_body()
    warm = bench.predict(body)
    bench.restart_backend(flush=True)
    assert bench.predict(body) == warm
