"""Which accepted objects a click could go on from."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from backend.clicks.candidates import candidates, under
from backend.label_studio import mask_regions
from backend.label_studio.mask_formats import bitmask
from backend.label_studio.predict_request import PredictRequest
from tests.backend.drawn_regions import box, brush, faint
from tests.backend.predict_bodies import CONFIG, keypoint, predict


def corrected(*click: Any, **task: Any) -> str | None:
    """Return the id of the object that a click at (x, y) percent corrects."""
    request = PredictRequest.parse(predict(keypoint("click", *click), **task))
    assert request.context is not None
    (prompt,) = request.context
    found = under(prompt.clicks[0], candidates(prompt, request.tasks[0], request.config))
    return found.id if found else None


def draft(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "updated_at": "2026-01-01T00:00:00Z",
        "annotation": None,
        "result": list(results),
        **more,
    }


def test_click_inside_an_accepted_mask_corrects_it() -> None:
    task = {"drafts": [draft(brush("a", box(20, 20, 60, 60)))]}
    assert corrected(20, 40, **task) == "a"
    assert corrected(20, 40, False, **task) == "a"
    assert corrected(80, 40, **task) is None


def test_a_mask_is_corrected_where_only_clicks_have_labels() -> None:
    config = CONFIG.replace("BrushLabels", "Brush")
    mask = brush("a", box(20, 20, 60, 60), type="brush")
    del mask["value"]["brushlabels"]
    assert corrected(20, 40, False, config=config, drafts=[draft(mask)]) == "a"


def test_most_recent_of_overlapping_masks_is_corrected() -> None:
    assert (
        corrected(20, 40, drafts=[draft(brush("a", box(0, 0, 99, 99)), brush("b", box(20, 20, 60, 60)))])
        == "b"
    )


def test_mask_of_another_label_image_or_size_is_not_corrected() -> None:
    mask = box(0, 0, 200, 100)
    for change in ({"to_name": "other"}, {"item_index": 2}, {"original_width": 100, "original_height": 200}):
        assert corrected(20, 40, drafts=[draft(brush("a", mask, **change))]) is None
    assert corrected(20, 40, drafts=[draft(brush("a", mask, "Dog"))]) is None


@pytest.mark.parametrize("size", [None, 1, 1000])
def test_a_polygon_is_corrected_whatever_size_another_tool_gave_it(size: int | None) -> None:
    points = {"points": [[10, 20], [30, 20], [30, 60], [10, 60]], "polygonlabels": ["Cat"]}
    entry = {**brush("a", box(0, 0, 1, 1)), "type": "polygonlabels", "value": points}
    task = {"drafts": [draft(entry | {"original_width": size, "original_height": size})]}
    assert corrected(20, 40, **task) == "a"
    assert corrected(40, 40, **task) is None


def test_submitted_annotation_is_corrected_where_there_is_no_draft() -> None:
    assert corrected(20, 40, annotations=[draft(brush("a", box(20, 20, 60, 60)))]) == "a"


def test_skipped_annotation_is_not_corrected() -> None:
    skipped = draft(brush("a", box(20, 20, 60, 60)), was_cancelled=True)
    assert corrected(20, 40, annotations=[skipped]) is None


def test_draft_hides_the_annotation_that_it_changes() -> None:
    old, new = brush("a", box(0, 0, 50, 100)), brush("a", box(50, 0, 100, 100))
    task = {
        "annotations": [draft(old, brush("deleted", box(100, 0, 200, 100)))],
        "drafts": [draft(new, annotation=1)],
    }
    assert corrected(40, 40, **task) == "a"
    assert corrected(10, 40, **task) is None
    assert corrected(80, 40, **task) is None


def test_newer_draft_wins() -> None:
    older = draft(brush("a", box(0, 0, 50, 100)), updated_at="2026-01-01T00:00:00Z")
    newer = draft(brush("a", box(50, 0, 100, 100)), updated_at="2026-01-02T00:00:00Z")
    assert corrected(40, 40, drafts=[newer, older]) == "a"
    assert corrected(10, 40, drafts=[newer, older]) is None


def test_unreadable_mask_is_skipped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = brush("good", box(0, 0, 200, 100)), brush("bad", box(0, 0, 200, 100))
    bad["value"]["rle"] = bad["value"]["rle"][:-3]
    with caplog.at_level(logging.WARNING):
        assert corrected(20, 40, drafts=[draft(good, bad)]) == "good"
    assert "region bad of task 7 cannot be read: the RLE tells only" in caplog.text
    with pytest.raises(ValueError, match="the RLE tells only"):
        mask_regions.accepted([bad])[0].mask()


def test_a_mask_that_turns_out_to_be_damaged_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    whole = box(0, 0, 200, 100)
    broken = brush("b", whole, meta={"box": [0, 0, 200, 100]}, origin="prediction")
    broken["value"]["rle"] = broken["value"]["rle"][:-3]
    assert corrected(20, 40, drafts=[draft(brush("a", whole), broken)]) == "a"
    assert "region b cannot be read" in caplog.text


def test_bitmasks_and_the_masks_of_other_tools_are_corrected_too() -> None:
    mask = box(20, 20, 60, 60)
    value = {"imageDataURL": bitmask.encode(mask), "bitmasklabels": ["Cat"]}
    assert (
        corrected(20, 40, drafts=[draft({**brush("a", mask), "type": "bitmasklabels", "value": value})])
        == "a"
    )
    entry = brush("a", mask, original_width=200.0, original_height=100.0)
    entry["value"]["rle"] = faint(entry["value"]["rle"])
    assert corrected(20, 40, drafts=[draft(entry)]) == "a"


def test_a_locked_mask_is_not_corrected() -> None:
    lower, upper = brush("a", box(0, 0, 99, 99)), brush("b", box(20, 20, 60, 60), readonly=True)
    assert corrected(20, 40, drafts=[draft(lower, upper)]) == "a"
    assert corrected(20, 40, drafts=[draft(upper)]) is None


def test_masks_that_other_tools_gave_no_id_stay_apart() -> None:
    left, right = brush("", box(0, 0, 99, 99)), brush("", box(100, 0, 200, 100))
    del left["id"], right["id"]
    task = {"annotations": [draft(left, right)]}
    found = {corrected(20, 40, **task), corrected(70, 40, **task)}
    assert len(found) == 2 and None not in found


def test_a_mask_without_a_position_is_on_the_first_image() -> None:
    """As the editor shows it; Label Studio names the position only where a tag shows a list."""
    for at, found in ((0, "a"), (1, None)):
        body = predict(
            {**keypoint("click", 20, 40), "item_index": at}, drafts=[draft(brush("a", box(20, 20, 60, 60)))]
        )
        request = PredictRequest.parse(body)
        assert request.context is not None
        (prompt,) = request.context
        entry = under(prompt.clicks[0], candidates(prompt, request.tasks[0], request.config))
        assert (entry.id if entry else None) == found
