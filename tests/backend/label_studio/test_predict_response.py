from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backend.clicks.candidates import candidates
from backend.label_studio import mask_regions
from backend.label_studio.drafts import SavedWork
from backend.label_studio.label_config import LabelConfig
from backend.label_studio.predict_request import PredictRequest, Prompt
from backend.label_studio.predict_response import Answer, Suggestion, fresh_id, prediction
from model.click import Click
from tests.backend import recordings
from tests.backend.predict_bodies import CONFIG, keypoint, predict, rectangle

POLYGONS = CONFIG.replace("BrushLabels", "PolygonLabels").replace('"brush"', '"poly"')
BOTH = CONFIG.replace(
    "</View>", '<PolygonLabels name="poly" toName="image"><Label value="Cat"/></PolygonLabels></View>'
)


def two_parts() -> np.ndarray:
    mask = np.zeros((100, 200), bool)
    mask[10:60, 20:80] = True
    mask[10:40, 120:150] = True
    return mask


def prompt_of(*items: dict[str, object], config: str = CONFIG) -> tuple[Prompt, LabelConfig]:
    request = PredictRequest.parse(predict(*(items or (keypoint("a", 25, 30),)), config=config))
    assert request.context is not None
    return request.context[0], request.config


def answer(**more: Any) -> Answer:
    usual = Answer(two_parts(), 0.9, "base-1-00000000", "cm000000000001", ("a",), (Click(50, 30),))
    return replace(usual, **more)


def to_regions(
    prompt: Prompt, config: LabelConfig, made: Answer, tolerance: float = 1.0
) -> list[dict[str, Any]]:
    controls = config.outputs(prompt.to_name, prompt.labels)
    return list(Suggestion.of(prompt, controls, made, tolerance).regions)


def test_brush_region_is_what_label_studio_keeps() -> None:
    (region,) = to_regions(
        *prompt_of(keypoint("a", 25, 30), keypoint("b", 5, 5, False)), answer(prompts=("a", "b"))
    )
    assert json.loads(json.dumps(region)) == region
    code = region["value"].pop("rle")
    assert len(region["meta"].pop("digest")) == 16
    assert region == {
        "id": region["id"],
        "from_name": "brush",
        "to_name": "image",
        "type": "brushlabels",
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
        "value": {"format": "rle", "brushlabels": ["Cat"]},
        "origin": "prediction",
        "score": 0.9,
        "meta": {
            "model_version": "base-1-00000000",
            "clicks": 2,
            "prompts": ["a", "b"],
            "points": [[50, 30, 1]],
        },
    }
    assert code[:6] == [0, 1, 56, 128, 57, 27]


@pytest.mark.parametrize("config", [CONFIG, POLYGONS])
def test_a_region_that_is_replaced_keeps_what_was_said_of_it(config: str) -> None:
    prompt, parsed = prompt_of(config=config)
    (mask,) = to_regions(prompt, parsed, answer())
    mask = {**mask, "parentID": "box", "meta": {**mask["meta"], "text": ["look again"]}}

    def said(control: str, kind: str, **value: Any) -> dict[str, Any]:
        # With the mask, as the editor writes it.
        shape = {name: part for name, part in mask["value"].items() if name != mask["type"]}
        return {**mask, "from_name": control, "type": kind, "value": {**shape, **value}}

    draft = [
        mask,
        said("ripe", "choices", choices=["yes"]),
        said("note", "textarea", text=["bruised"]),
        said("state", "labels", labels=["occluded"]),
        said("label", "labels", labels=["Cat"]),  # once more what the mask says
        said("kp", "keypointlabels", keypointlabels=["Cat"]),  # left behind by the editor
        said("ripe", "choices", choices=["no"]) | {"id": "another"},
        {"id": mask["id"], "value": {"odd": 1}},  # of other tools
        {"id": mask["id"], "type": "choices", "value": {"choices": ["odd"]}},
        {"id": mask["id"], "type": "choices", "from_name": "odd", "value": None},
    ]
    saved = SavedWork.read([], [{"id": 1, "result": draft}])
    outputs = parsed.outputs(prompt.to_name, prompt.labels)
    first, *others = Suggestion.of(prompt, outputs, answer(score=0.5), saved=saved).regions
    assert first == {**mask, "score": 0.5}
    assert [(entry["from_name"], entry["type"], entry["value"]) for entry in others] == [
        ("ripe", "choices", {"choices": ["yes"]}),
        ("note", "textarea", {"text": ["bruised"]}),
        ("state", "labels", {"labels": ["occluded"]}),
    ]
    assert {entry["id"] for entry in others} == {mask["id"]}
    assert json.loads(json.dumps(others)) == others


def test_a_wands_mask_that_is_replaced_leaves_only_what_was_said_of_it() -> None:
    prompt, parsed = prompt_of()
    (mask,) = to_regions(prompt, parsed, answer())
    wand = {**mask, "type": "magicwand", "from_name": "wand", "value": {**mask["value"]}}
    choice = {**wand, "type": "choices", "from_name": "ripe", "value": {**mask["value"], "choices": ["yes"]}}
    saved = SavedWork.read([], [{"id": 1, "result": [wand, choice]}])
    made = Suggestion.of(prompt, parsed.outputs(prompt.to_name, prompt.labels), answer(), saved=saved).regions
    assert [entry["from_name"] for entry in made] == ["brush", "ripe"]


def test_another_region_inherits_nothing() -> None:
    prompt, parsed = prompt_of()
    (mask,) = to_regions(prompt, parsed, answer())
    choice = {**mask, "from_name": "ripe", "type": "choices", "value": {"choices": ["yes"]}}
    saved = SavedWork.read([], [{"id": 1, "result": [mask, choice]}])
    outputs = parsed.outputs(prompt.to_name, prompt.labels)
    other = answer(region_id="cm000000000002")
    assert len(Suggestion.of(prompt, outputs, other, saved=saved).regions) == 1
    # But one that goes on from it, as a corrected bitmask does.
    _, said = Suggestion.of(prompt, outputs, other, saved=saved, source=mask["id"]).regions
    assert (said["id"], said["value"]) == ("cm000000000002", {"choices": ["yes"]})


@pytest.mark.parametrize("config", [CONFIG, POLYGONS, BOTH])
def test_regions_read_back_are_the_mask(config: str) -> None:
    prompt, parsed = prompt_of(config=config)
    (found,) = mask_regions.objects(mask_regions.accepted(to_regions(prompt, parsed, answer(), tolerance=0)))
    assert np.array_equal(found.mask(), two_parts())
    assert found.prompts == ("a",)


@pytest.mark.parametrize("config", [CONFIG, POLYGONS, CONFIG.replace("BrushLabels", "BitmaskLabels")])
def test_a_mask_is_known_again_until_it_is_painted_on(config: str) -> None:
    """Label Studio calls a region changed, too, of which a label, a choice or a text was."""
    prompt, parsed = prompt_of(config=config)

    def kept(mask: np.ndarray) -> dict[str, Any]:
        (entry,) = to_regions(prompt, parsed, answer(mask=mask))
        return json.loads(json.dumps({**entry, "origin": "prediction-changed"}))

    suggested, painted = kept(two_parts()), two_parts()
    painted[:20] = False
    other = {**suggested, "value": kept(painted)["value"]}
    untold = {**suggested, "meta": {**suggested["meta"], "digest": ""}}  # of an earlier version
    found = [mask_regions.accepted([entry])[0].untouched for entry in (suggested, other, untold)]
    assert found == [True, False, False]


def test_controls_of_the_config_decide_the_kinds() -> None:
    def kinds(config: str) -> list[tuple[str, str]]:
        return [(r["type"], r["from_name"]) for r in to_regions(*prompt_of(config=config), answer())]

    assert kinds(CONFIG) == [("brushlabels", "brush")]
    assert kinds(POLYGONS) == [("polygonlabels", "poly")]
    assert kinds(BOTH) == [("brushlabels", "brush"), ("polygonlabels", "poly")]


def test_a_fresh_id_repeats_with_the_prompt_and_differs_from_any_other() -> None:
    def fresh(*items: dict[str, object], version: str = "base-1-00000000") -> str:
        return fresh_id(prompt_of(*items)[0], version)

    ids = [
        fresh(keypoint("a", 25, 30)),
        fresh(keypoint("b", 25, 30)),
        fresh(keypoint("a", 26, 30)),
        fresh(keypoint("a", 25, 30, False)),
        fresh(keypoint("a", 25, 30), keypoint("b", 25, 30)),
        fresh(keypoint("a", 25, 30, label="Dog")),
        fresh(rectangle("a", 25, 30, 10, 10)),
        fresh(keypoint("a", 25, 30), version="base-2-00000000"),
    ]
    assert fresh(keypoint("a", 25, 30)) == ids[0]
    assert len(set(ids)) == len(ids)


def test_all_regions_of_an_answer_carry_its_id_and_prompts() -> None:
    first, second = to_regions(
        *prompt_of(keypoint("c", 25, 30), config=BOTH), answer(region_id="old", prompts=("a", "b", "a", "c"))
    )
    assert (first["id"], second["id"]) == ("old", "old-2")
    assert {**first["meta"], "digest": ""} == {**second["meta"], "digest": ""}
    assert first["meta"]["prompts"] == ["a", "b", "c"]


def test_corrected_suggestion_is_found_again_after_it_was_accepted() -> None:
    made = to_regions(*prompt_of(config=POLYGONS), answer())
    body = predict(keypoint("next", 65, 20), config=POLYGONS, drafts=[{"id": 1, "result": made}])
    request = PredictRequest.parse(body)
    assert request.context is not None
    (found,) = candidates(request.context[0], request.tasks[0], request.config)
    assert found.id == made[0]["id"]
    assert np.count_nonzero(found.mask() ^ two_parts()) < 40


def test_correction_that_takes_a_part_away_leaves_nothing_of_it() -> None:
    """Label Studio replaces regions by id and deletes none, so an answer may have no more regions than the next."""
    made = to_regions(*prompt_of(config=POLYGONS), answer())
    less = two_parts() & (np.arange(200) < 100)
    again = to_regions(*prompt_of(config=POLYGONS), answer(mask=less, region_id=made[0]["id"]))
    shown = {region["id"]: region for region in (*made, *again)}
    (found,) = mask_regions.objects(mask_regions.accepted(list(shown.values())))
    assert np.count_nonzero(found.mask() ^ less) < 40


def test_rotation_and_item_index_are_echoed() -> None:
    item = {**keypoint("a", 25, 30), "image_rotation": 90, "item_index": 2}
    (region,) = to_regions(*prompt_of(item), answer())
    assert region["image_rotation"] == 90
    assert region["item_index"] == 2


def test_empty_mask_gives_no_region() -> None:
    assert to_regions(*prompt_of(), answer(mask=np.zeros((100, 200), bool))) == []


def test_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the mask is 100x200 but the image is 200x100"):
        to_regions(*prompt_of(), answer(mask=two_parts().T))


def test_a_prediction_holds_all_suggestions_and_the_version_that_made_them() -> None:
    made, empty = Suggestion(({"id": "1"},), 0.9, "base-2-0"), Suggestion((), np.float32(0.5), "base-3-0")  # type: ignore[arg-type]
    entry = prediction([made, empty], "base-1-0")
    assert entry == {"result": [{"id": "1"}], "score": 0.5, "model_version": "base-2-0"}
    assert type(entry["score"]) is float


def test_a_prediction_without_regions_names_the_served_version() -> None:
    assert prediction([], "base-1-0") == {"result": [], "score": 0.0, "model_version": "base-1-0"}


@pytest.mark.parametrize("name", recordings.names())
def test_recorded_prompts_get_a_region_that_fits(name: str) -> None:
    request = PredictRequest.parse(recordings.body(name))
    for prompt in request.context or ():
        prompt = replace(prompt, labels=prompt.labels or request.config.labels(prompt.to_name)[:1])
        mask = np.zeros((prompt.height, prompt.width), bool)
        mask[: prompt.height // 2, : prompt.width // 3] = True
        (region,) = to_regions(prompt, request.config, answer(mask=mask))
        assert region["value"][region["type"]] == list(prompt.labels)
        assert f'name="{region["from_name"]}"' in recordings.body(name)["label_config"]
        (read,) = mask_regions.accepted([region])
        assert np.array_equal(read.mask(), mask)
