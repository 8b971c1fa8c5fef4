"""Requests about several images of a task: the editor sends the prompts of all of them."""

from __future__ import annotations

from typing import Any

from backend.label_studio.predict_request import PredictRequest
from tests.backend.predict_bodies import CONFIG, accepted_mask, keypoint, predict, rectangle


def on_pages(*entries: dict[str, Any], **task: Any) -> list[tuple[int | None, tuple[str, ...], bool]]:
    """Position, ids and `moved` of the prompts of a request that holds the first entry on page 0, and so on."""
    config = CONFIG.replace('value="$image"', 'valueList="$images"')
    placed = [{**entry, "item_index": number} for number, entry in enumerate(entries)]
    context = PredictRequest.parse(predict(*placed, config=config, **task)).context
    assert context is not None
    return [(prompt.item_index, prompt.ids, prompt.moved) for prompt in context]


def test_what_was_drawn_by_hand_on_another_page_is_no_prompt() -> None:
    boxes = rectangle("hand", 10, 10, 20, 20), rectangle("new", 50, 50, 20, 20)
    assert on_pages(*boxes) == [(1, ("new",), False)]
    assert on_pages(keypoint("hand", 1, 1, None), keypoint("new", 2, 2)) == [(1, ("new",), False)]


def test_clicks_of_a_mask_that_was_accepted_on_another_page_are_no_prompts() -> None:
    draft = {"id": 2, "result": [accepted_mask("a"), keypoint("a", 1, 1)]}
    assert on_pages(keypoint("a", 1, 1), keypoint("b", 2, 2), drafts=[draft]) == [(1, ("b",), False)]
    assert on_pages(keypoint("a", 1, 1), drafts=[draft]) == [(0, ("a",), True)]


def test_a_box_of_another_first_label_is_an_object_of_its_own() -> None:
    cat, dog = rectangle("cat", 10, 10, 20, 20), rectangle("dog", 50, 50, 20, 20)
    dog["value"]["rectanglelabels"] = ["Dog"]
    assert [ids for _, ids, _ in on_pages(cat, dog)] == [("cat",), ("dog",)]
    dog["value"]["rectanglelabels"] = ["Cat", "Dog"]
    assert [ids for _, ids, _ in on_pages(cat, dog)] == [("dog",)]
