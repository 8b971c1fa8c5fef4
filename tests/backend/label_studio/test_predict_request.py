from __future__ import annotations

import math
from typing import Any

import pytest

from backend.json_fields import RequestError
from backend.label_studio.label_config import LabelConfigError
from backend.label_studio.predict_request import PredictRequest, Prompt
from backend.label_studio.prompt_regions import Box
from model.click import Click
from tests.backend import recordings
from tests.backend.predict_bodies import CONFIG, accepted_mask, keypoint, predict, rectangle


def prompt_of(body: object) -> Prompt:
    context = PredictRequest.parse(body).context
    assert context is not None
    assert len(context) == 1
    return context[0]


def clicks_of(start: str) -> str:
    return prompt_of(recordings.body(start)).summary()


@pytest.mark.parametrize("name", recordings.names())
def test_every_recorded_body_is_understood(name: str) -> None:
    body = recordings.body(name)
    request = PredictRequest.parse(body)
    assert request.project_id == int(body["project"].split(".")[0])
    assert [task.id for task in request.tasks] == [task["id"] for task in body["tasks"]]
    assert request.image_urls(request.tasks[0]) == [body["tasks"][0]["data"]["image"]]
    sent = body["params"]["context"]
    assert (request.context is None) == (sent is None)
    for prompt in request.context or ():
        newest = sent["result"][-1]
        assert prompt.ids[-1] == newest["id"]
        assert (prompt.width, prompt.height) == (newest["original_width"], newest["original_height"])
        assert prompt.labels == tuple(newest["value"].get(newest["type"], ()))
        assert {*prompt.ids, *prompt.ignored} == {entry["id"] for entry in sent["result"]}


def test_recorded_alt_click_is_negative() -> None:
    assert clicks_of("22_") == "Cat on image: +(211,192) +(230,216) -(230,120)"


def test_recorded_polarity_lost_in_a_reload_is_recovered_from_the_draft() -> None:
    assert clicks_of("34_") == "Cat on image: +(106,96) -(144,96) +(192,144)"


def test_recorded_rectangle_drawn_by_hand_is_ignored() -> None:
    assert clicks_of("35_") == "Dog on image: box(480,300,680,510), 1 ignored"


def test_recorded_keypoint_drawn_by_hand_is_ignored() -> None:
    assert clicks_of("36_") == "Cat on image: +(264,240), 1 ignored"


def test_recorded_exif_photo_has_the_size_that_the_browser_shows() -> None:
    prompt = prompt_of(recordings.body("38_"))
    assert (prompt.width, prompt.height) == (400, 600)
    assert prompt.clicks[0].pixel(600, 400) == (150, 99)


def test_recorded_rotated_view_is_echoed_and_leaves_positions_alone() -> None:
    prompt = prompt_of(recordings.body("39_"))
    assert prompt.rotation == 90
    assert prompt.summary() == "Cat on image: +(120,320)"


def test_recorded_empty_context_is_interactive_with_nothing_to_answer() -> None:
    assert PredictRequest.parse(recordings.body("32_")).context == ()


def test_null_context_is_a_batch_call() -> None:
    body = predict()
    body["params"]["context"] = None
    assert PredictRequest.parse(body).context is None
    del body["params"]
    assert PredictRequest.parse(body).context is None


def test_clicks_without_any_polarity_are_positive() -> None:
    prompt = prompt_of(predict(keypoint("a", 1, 1, None), keypoint("b", 2, 2, None)))
    assert [click.positive for click in prompt.clicks] == [True, True]


def test_polarity_of_the_draft_wins_over_the_annotation() -> None:
    annotation = {"id": 1, "result": [keypoint("a", 1, 1, True)]}
    draft = {"id": 2, "result": [keypoint("a", 1, 1, False)]}
    body = predict(keypoint("a", 5, 5, None), annotations=[annotation], drafts=[draft])
    assert prompt_of(body).clicks == (Click(10, 5, False),)


def test_polarity_in_the_request_wins_over_the_draft() -> None:
    body = predict(keypoint("a", 5, 5, True), drafts=[{"id": 2, "result": [keypoint("a", 5, 5, False)]}])
    assert prompt_of(body).clicks[0].positive


def test_clicks_of_an_accepted_mask_do_not_leak_into_the_next_object() -> None:
    draft = {"id": 2, "result": [accepted_mask("a", "b"), keypoint("a", 1, 1), keypoint("b", 2, 2, False)]}
    body = predict(keypoint("a", 1, 1), keypoint("b", 2, 2, False), keypoint("c", 80, 80), drafts=[draft])
    prompt = prompt_of(body)
    assert prompt.click_ids == ("c",)
    assert prompt.ignored == ("a", "b")


def test_moving_a_click_of_an_accepted_mask_keeps_its_clicks() -> None:
    body = predict(
        keypoint("a", 9, 9), keypoint("b", 2, 2), drafts=[{"id": 2, "result": [accepted_mask("a", "b")]}]
    )
    assert prompt_of(body).click_ids == ("a", "b")


def test_leftover_rectangle_of_an_accepted_mask_is_no_prompt() -> None:
    draft = {"id": 2, "result": [accepted_mask("b")]}
    body = predict(rectangle("a", 10, 10, 20, 20), rectangle("b", 50, 50, 20, 20), drafts=[draft])
    assert prompt_of(body).box_id == "a"


def test_last_rectangle_is_the_prompt() -> None:
    prompt = prompt_of(predict(rectangle("a", 10, 10, 20, 20), rectangle("b", 50, 50, 25, 40)))
    assert prompt.box == Box(100, 50, 150, 90)
    assert (prompt.ids, prompt.ignored, prompt.clicks) == (("b",), ("a",), ())


def test_labels_images_and_items_are_objects_of_their_own() -> None:
    config = CONFIG.replace(
        '<Image name="image" value="$image"/>', '<Image name="image" valueList="$images"/>'
    )
    first, second = keypoint("a", 1, 1), keypoint("b", 2, 2)
    first["item_index"], second["item_index"] = 0, 1
    body = predict(
        first, second, keypoint("c", 3, 3, label="Dog"), config=config, data={"images": ["/0", "/1"]}
    )
    request = PredictRequest.parse(body)
    assert request.context is not None
    assert [(p.labels, p.item_index, p.click_ids) for p in request.context] == [
        (("Cat",), 0, ("a",)),
        (("Cat",), 1, ("b",)),
        (("Dog",), None, ("c",)),
    ]
    urls = [request.image_url(prompt) for prompt in request.context]
    assert urls == ["/0", "/1", "/0"]


def test_to_name_decides_which_image_is_meant() -> None:
    config = '<View><Image name="left" value="$a"/><Image name="right" value="$b"/></View>'
    entry = {**keypoint("k", 1, 1), "to_name": "right"}
    request = PredictRequest.parse(predict(entry, config=config, data={"a": "/a", "b": "/b"}))
    assert request.context is not None
    assert request.image_url(request.context[0]) == "/b"
    assert request.image_urls(request.tasks[0]) == ["/a", "/b"]


ROW = """<View><Labels name="label" toName="image"><Label value="Cup"/><Label value="Spoon"/></Labels>
  <Image name="image" value="$image"/><KeyPoint name="kp" toName="image" smart="true"/>
  <Rectangle name="rect" toName="image" smart="true"/>
  <BrushLabels name="brush" toName="image"><Label value="Cup"/><Label value="Spoon"/></BrushLabels></View>"""


def plain(entry: dict[str, Any], *labels: str) -> list[dict[str, Any]]:
    """The prompt as a control without labels makes it, and what <Labels> adds to it."""
    value = {
        key: part for key, part in entry["value"].items() if key in ("x", "y", "width", "height", "rotation")
    }
    bare = {**entry, "type": entry["type"].removesuffix("labels"), "value": value}
    row = {**bare, "type": "labels", "from_name": "label", "value": {**value, "labels": list(labels)}}
    return [bare, row] if labels else [bare]


def test_labels_of_a_row_belong_to_the_prompt_of_the_same_id() -> None:
    prompt = prompt_of(
        predict(*plain(keypoint("a", 1, 1), "Spoon"), *plain(keypoint("b", 2, 2, False), "Spoon"), config=ROW)
    )
    assert (prompt.labels, prompt.click_ids) == (("Spoon",), ("a", "b"))
    assert [click.positive for click in prompt.clicks] == [True, False]
    box = prompt_of(predict(*plain(rectangle("r", 10, 10, 20, 20), "Cup"), config=ROW))
    assert (box.labels, box.box_id) == (("Cup",), "r")


def test_a_label_of_the_mask_control_that_is_selected_counts_as_well() -> None:
    bare, row = plain(keypoint("a", 1, 1), "Spoon")
    row |= {"type": "brushlabels", "value": {"brushlabels": ["Spoon"]}}
    assert prompt_of(predict(bare, row, config=ROW)).labels == ("Spoon",)


def test_a_click_may_come_without_a_label() -> None:
    entry = plain(keypoint("a", 1, 1))[0]
    entry["value"]["labels"] = []
    assert prompt_of(predict(entry, config=ROW)).labels == ()
    assert prompt_of(predict(*plain(rectangle("r", 1, 1, 5, 5)), config=ROW)).labels == ()


def test_an_event_without_clicks_is_told() -> None:
    body = predict()
    for more in ({}, {"result": None}, {"result": []}):
        body["params"]["context"] = {"event": "prewarm", **more}
        request = PredictRequest.parse(body)
        assert (request.event, request.context) == ("prewarm", ())


def test_sizes_may_be_floating_point_numbers() -> None:
    entry = {**keypoint("a", 50, 50), "original_width": 200.0, "original_height": 100.0}
    assert (prompt_of(predict(entry)).width, prompt_of(predict(entry)).height) == (200, 100)


def test_kinds_that_are_no_prompts_are_named() -> None:
    def kinds(*entries: dict[str, Any]) -> tuple[str, ...]:
        return PredictRequest.parse(predict(*entries)).other_kinds

    assert kinds({"type": "ellipselabels", "value": {}}, {"type": "labels"}) == ("ellipselabels", "labels")
    # A word that was marked in a <Text> beside the image.
    assert kinds({"type": "labels", "to_name": "text", "value": {"labels": ["Person"]}}) == ("labels",)


def test_other_kinds_of_regions_are_no_prompts() -> None:
    body = predict({"type": "brushlabels", "value": {}}, {"type": "relation"})
    assert PredictRequest.parse(body).context == ()


def broken(path: str, value: object) -> dict[str, object]:
    """Return a good body with the value at ``path`` (dots and numbers) replaced."""
    body = predict(keypoint("a", 10, 10))
    holder: object = body
    *parents, last = path.split(".")
    for step in parents:
        holder = holder[int(step) if isinstance(holder, list) else step]  # type: ignore[index]
    holder[int(last) if isinstance(holder, list) else last] = value  # type: ignore[index]
    return body


ITEM = "params.context.result.0"


@pytest.mark.parametrize(
    ("path", "value", "named", "fix"),
    [
        ("tasks", None, "tasks", "a list"),
        ("tasks", [], "tasks", "exactly one"),
        ("tasks.0", "x", "tasks[0]", "an object"),
        ("tasks.0.data", None, "tasks[0].data", "an object"),
        ("tasks.0.id", "seven", "tasks[0].id", "a whole number"),
        ("tasks.0.drafts", "x", "tasks[0].drafts", "a list"),
        ("project", "x.1", "project", "<id>.<created>"),
        ("label_config", "<View>", "label_config", "XML"),
        ("label_config", 5, "label_config", "a string"),
        ("label_config", None, "label_config", "the labeling config of the project"),
        ("params", [], "params", "an object"),
        ("params.context", "x", "params.context", "an object"),
        ("params.context", {}, "params.context.result", "a list"),
        ("params.context.result", None, "params.context.result", "a list"),
        (ITEM, 3, "params.context.result[0]", "an object"),
        (f"{ITEM}.value", None, "params.context.result[0].value", "an object"),
        (f"{ITEM}.value.x", math.nan, "params.context.result[0].value.x", "percent"),
        (f"{ITEM}.value.x", math.inf, "params.context.result[0].value.x", "percent"),
        (f"{ITEM}.value.y", 480, "params.context.result[0].value.y", "from -5 to 105"),
        (f"{ITEM}.value.y", 10**400, "params.context.result[0].value.y", "from -5 to 105"),
        (f"{ITEM}.value.y", True, "params.context.result[0].value.y", "a number"),
        (f"{ITEM}.value.y", "5", "params.context.result[0].value.y", "a number"),
        (f"{ITEM}.value.keypointlabels", "Cat", "params.context.result[0].value.keypointlabels", "a list"),
        (f"{ITEM}.original_width", 0, "params.context.result[0].original_width", "1 to 65535"),
        (f"{ITEM}.original_height", 7.5, "params.context.result[0].original_height", "whole number"),
        (f"{ITEM}.image_rotation", "x", "params.context.result[0].image_rotation", "degrees"),
        (f"{ITEM}.item_index", -1, "params.context.result[0].item_index", "whole number"),
        (f"{ITEM}.id", 5, "params.context.result[0].id", "a string"),
        (f"{ITEM}.to_name", "photo", "params.context.result[0].to_name", "<Image>"),
        (f"{ITEM}.from_name", "", "params.context.result[0].from_name", "a string"),
    ],
)
def test_bad_fields_are_named_with_value_and_fix(path: str, value: object, named: str, fix: str) -> None:
    with pytest.raises(RequestError) as error:
        PredictRequest.parse(broken(path, value))
    assert error.value.path == named
    assert str(error.value).startswith(f"{named}: ")
    assert fix in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("body", [None, [], "x", 3, {}])
def test_anything_but_an_object_is_refused(body: object) -> None:
    with pytest.raises(RequestError):
        PredictRequest.parse(body)


def test_missing_field_is_called_missing() -> None:
    body = predict(keypoint("a", 10, 10))
    del body["params"]["context"]["result"][0]["original_width"]
    with pytest.raises(RequestError, match=r"original_width: missing; send a whole number"):
        PredictRequest.parse(body)


def test_task_without_the_image_names_the_key() -> None:
    request = PredictRequest.parse(predict(keypoint("a", 1, 1), data={"photo": "/x"}))
    assert request.context is not None
    with pytest.raises(LabelConfigError, match=r'value="\$image".*photo'):
        request.image_url(request.context[0])
    assert request.image_urls(request.tasks[0]) == []
