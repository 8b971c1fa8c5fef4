"""Points taken back and masks selected in the real editor, which tells nobody of either."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backend.label_studio.connect import label_config
from backend.label_studio.mask_regions import MaskRegion, accepted, objects
from tests.e2e.conftest import LABELS, Workplace
from tests.e2e.editor import Editor
from tests.e2e.photos import GOOD, NEAR_RED, RED, YELLOW, iou, jpeg

GROUND = (330 / 640, 60 / 480)


def begin(workplace: Workplace, image: np.ndarray, auto_accept: bool = False) -> int:
    """The default config with the editor's own settings, ready to click a Dog; returns the task's id."""
    project, task = workplace.project(jpeg(image), config=label_config(LABELS))
    workplace.editor.open(project, task, auto_accept=auto_accept, keep_label=False)
    workplace.editor.tool("key-point-tool")
    workplace.editor.label("label", "Dog")
    return task


def saved(workplace: Workplace, task: int) -> list[MaskRegion]:
    return accepted(workplace.submitted(task)["result"])


@pytest.mark.parametrize("take_back", [Editor.undo, Editor.delete_last])
def test_a_wrong_point_that_was_taken_back(workplace: Workplace, scene, take_back: Callable[[Editor], None]):
    """The editor has unselected the label: chosen again, the points that are left count again."""
    image, red, yellow = scene
    task = begin(workplace, image)
    workplace.editor.click(*RED)
    workplace.editor.click(*YELLOW)
    wrong = workplace.last_prompts()[-1]["id"]
    assert (workplace.suggestion(red) & yellow).any()
    take_back(workplace.editor)
    workplace.editor.label("label", "Dog")
    workplace.editor.click(*NEAR_RED[1], key="Control")
    prompts = {prompt["id"] for prompt in workplace.last_prompts()}
    assert len(prompts) == 2 and wrong not in prompts
    workplace.refine(red, GOOD)
    workplace.editor.accept(escape=False)
    (region,) = saved(workplace, task)
    assert region.labels == ("Dog",)
    assert wrong not in region.meta.prompts
    assert iou(region.mask(), red) > GOOD


def test_the_only_point_was_taken_back_and_the_next_one_has_no_label(workplace: Workplace, scene):
    """What was taken back may be all around the next click: it is not gone on from, as with Auto-Accept."""
    image, red, _ = scene
    task = begin(workplace, image)
    workplace.editor.click(*GROUND)
    workplace.editor.undo()
    workplace.editor.click(*RED)
    workplace.refine(red, GOOD)
    only = {prompt["id"] for prompt in workplace.last_prompts()}
    workplace.editor.accept(escape=False)
    (region,) = saved(workplace, task)
    assert region.labels == ("Dog",)  # the one that was used last
    assert set(region.meta.prompts) == only
    assert iou(region.mask(), red) > GOOD


def test_accepting_was_taken_back(workplace: Workplace, scene):
    """The point is there again, without its label's row: a click elsewhere is another object."""
    image, red, yellow = scene
    task = begin(workplace, image)
    workplace.editor.click(*RED)
    workplace.editor.accept(escape=False)
    workplace.editor.undo()
    assert [region["type"] for region in workplace.editor.state()["regions"]] == ["keypointregion"]
    workplace.editor.click(*YELLOW)
    workplace.refine(yellow, GOOD)
    workplace.editor.accept(escape=False)
    (region,) = saved(workplace, task)
    assert iou(region.mask(), yellow) > GOOD
    assert not (region.mask() & red).any()


def test_auto_accept_goes_on_with_one_object_and_then_another(workplace: Workplace, scene):
    image, red, yellow = scene
    task = begin(workplace, image, auto_accept=True)
    workplace.editor.click(*RED)
    workplace.editor.click(*NEAR_RED[0], key="Control")
    workplace.editor.click(*YELLOW, key="Alt")
    workplace.refine(red, GOOD)
    workplace.editor.label("label", "Cat")
    workplace.editor.click(*YELLOW)
    masks = {region.labels: region.mask() for region in saved(workplace, task)}
    assert list(masks) == [("Dog",), ("Cat",)]
    assert iou(masks[("Dog",)], red) > GOOD
    assert iou(masks[("Cat",)], yellow) > GOOD


def test_a_click_beside_a_selected_mask_leaves_the_editor_alive(workplace: Workplace, scene):
    """The editor breaks where a region that is selected is replaced, and does not say what is selected."""
    image, red, _ = scene
    task = begin(workplace, image)
    workplace.editor.click(*RED)
    workplace.editor.click(*NEAR_RED[1], key="Control")
    workplace.editor.accept(escape=False)
    workplace.editor.click(*RED)  # selects it
    (before,) = workplace.editor.state()["regions"]
    workplace.editor.click(*YELLOW, key="Alt")
    (suggestion,) = workplace.editor.state()["suggestions"]
    assert suggestion["id"] != before["id"]
    workplace.editor.accept(escape=False)
    (region,) = objects(saved(workplace, task))
    assert region.id == suggestion["id"]
    assert iou(region.mask(), red) > GOOD
