"""The stages of a click, from its image to the suggestion."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.clicks import target
from backend.clicks.admission import DeadlineExceeded
from backend.label_studio.mask_formats import rle
from backend.label_studio.predict_request import PredictRequest
from backend.serving.model_pool import NotReady
from model.inference.predictor import Predictor
from tests.backend.predict_bodies import CONFIG, ONE, click, keypoint, rectangle
from tests.backend.running_app import ImageServer, backend_of, png, regions
from tests.waiting import PATIENCE_S


def test_a_click_gives_a_mask(client: FlaskClient) -> None:
    (region,) = regions(client, click(ONE))
    assert (region["type"], region["from_name"], region["to_name"]) == ("brushlabels", "brush", "image")
    assert region["value"]["brushlabels"] == ["Cat"]
    assert (region["original_width"], region["original_height"]) == (200, 100)
    assert region["origin"] == "prediction"
    assert 0 < region["score"] <= 1
    assert region["meta"]["points"] == [[60.0, 40.0, 1]]


def test_the_same_request_gives_the_same_answer_and_another_click_another(client: FlaskClient) -> None:
    first = regions(client, click(ONE))
    assert regions(client, click(ONE)) == first
    second = regions(client, click(ONE, keypoint("k2", 60, 70, positive=False)))
    assert second[0]["value"]["rle"] != first[0]["value"]["rle"]
    assert second[0]["id"] != first[0]["id"]


def test_a_box_is_a_prompt(client: FlaskClient) -> None:
    (region,) = regions(client, click(rectangle("r1", 20, 20, 40, 50), id=966))
    assert region["value"]["brushlabels"] == ["Cat"]


def test_correcting_an_accepted_mask_replaces_it(client: FlaskClient) -> None:
    (accepted,) = regions(client, click(ONE))
    draft = {"id": 1, "user": "a@example.com", "result": [accepted]}
    x, y = inside(accepted)
    (region,) = regions(client, click(keypoint("k9", x, y, positive=False), drafts=[draft]))
    assert region["id"] == accepted["id"]
    assert region["meta"]["prompts"] == ["k1", "k9"]
    assert len(region["meta"]["points"]) == 2


@pytest.mark.parametrize("control", ["BrushLabels", "BitmaskLabels"])
def test_a_correction_keeps_what_was_said_of_the_region(client: FlaskClient, control: str) -> None:
    config = CONFIG.replace("BrushLabels", control)
    (accepted,) = regions(client, click(ONE, config=config))
    shape = {name: part for name, part in accepted["value"].items() if name != accepted["type"]}
    choice = {**accepted, "from_name": "ripe", "type": "choices", "value": {**shape, "choices": ["yes"]}}
    draft = {"id": 1, "user": "a@example.com", "result": [accepted, choice]}
    less = keypoint("k9", 1, 1, positive=False)
    mask, said = regions(client, in_auto_accept(less, config=config, drafts=[draft], id=963))
    assert (mask["id"] == accepted["id"]) is (control == "BrushLabels")  # a bitmask is not replaced
    assert (mask["type"], said["id"], said["value"]) == (accepted["type"], mask["id"], {"choices": ["yes"]})


def test_a_mask_that_has_a_relation_is_not_replaced(client: FlaskClient) -> None:
    """The editor cannot tell the suggestion from the region that the relation is to, and goes blank."""
    (accepted,) = regions(client, click(ONE))
    relation = {"type": "relation", "from_id": accepted["id"], "to_id": "other", "direction": "right"}
    draft = {"id": 1, "user": "a@example.com", "result": [accepted, relation]}
    (region,) = regions(client, click(keypoint("k9", 1, 1, positive=False), drafts=[draft], id=964))
    assert region["id"] != accepted["id"]
    assert region["meta"]["prompts"] == ["k1", "k9"]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many clicks each pass of the network was asked to obey, in order."""
    asked: list[int] = []
    real = Predictor.predict

    def predict(self: Predictor, image: np.ndarray, clicks: Any, previous: np.ndarray | None) -> np.ndarray:
        asked.append(len(clicks))
        return real(self, image, clicks, previous)

    monkeypatch.setattr(Predictor, "predict", predict)
    return asked


def test_every_click_is_a_pass_and_only_what_is_new_is_computed(
    client: FlaskClient, passes: list[int]
) -> None:
    one, two, three = keypoint("k1", 11, 12), keypoint("k2", 21, 22), keypoint("k3", 31, 32, positive=False)
    for prompts, computed in [
        ((one, two), [1, 2]),
        ((one, two, three), [3]),
        ((one,), []),  # clicks that were taken back
        ((two, one), [1, 2]),  # another order is another story
        ((three, one, two), [2, 3]),  # alone, the first would make an empty mask to go on from
    ]:
        passes.clear()
        regions(client, click(*prompts))
        assert passes == computed


def test_past_the_deadline_no_further_pass_begins_and_the_next_request_goes_on(
    app: Flask, passes: list[int]
) -> None:
    known = backend_of(app).service._pipeline
    late = replace(known, settings=replace(known.settings, deadline_s=0))
    request = PredictRequest.parse(click(*(keypoint(f"k{i}", 10 * i, 50) for i in range(1, 4))))
    assert request.context is not None
    image = late.picture(request, request.context[0])
    for left in (2, 1):
        with pytest.raises(DeadlineExceeded, match=f"{left} of 3 clicks are left"):
            late.answer(request, request.context[0], image)
    assert late.answer(request, request.context[0], image).regions
    assert passes == [1, 2, 3]


def test_who_waited_for_the_image_learns_within_the_deadline_that_there_is_no_model(app: Flask) -> None:
    asked: list[float] = []

    class Loading:
        def take(self, project: int | None, timeout_s: float) -> None:
            asked.append(timeout_s)
            raise NotReady("the model is still loading")

    known = backend_of(app).service._pipeline
    request = PredictRequest.parse(click(ONE))
    assert request.context is not None
    image, loading = known.picture(request, request.context[0]), replace(known, models=Loading())
    with pytest.raises(NotReady):
        loading.answer(request, request.context[0], image, waited_s=60.0)
    assert 0 < asked[0] < known.settings.deadline_s - 60


def test_a_box_gets_a_pass_of_its_own(client: FlaskClient, passes: list[int]) -> None:
    for computed in ([0], []):
        passes.clear()
        regions(client, click(rectangle("r2", 15, 15, 40, 50), id=967))
        assert passes == computed


def test_clicks_after_a_box_are_answered_as_if_it_came_with_them(
    client: FlaskClient, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "FRESH_S", PATIENCE_S)
    box, first, second = rectangle("r1", 15, 15, 40, 50), keypoint("k1", 30, 40), keypoint("k2", 35, 30)
    regions(client, click(box, id=964))
    regions(client, click(first, id=964))
    passes.clear()
    (region,) = regions(client, click(first, second, id=964))
    assert passes == [2]
    (together,) = regions(client, click(box, first, second, id=965))
    assert region == together
    assert region["meta"]["prompts"] == ["k1", "k2", "r1"]


def test_a_correction_is_one_pass_that_obeys_the_earlier_clicks_too(
    client: FlaskClient, passes: list[int]
) -> None:
    (accepted,) = regions(client, click(ONE))
    passes.clear()
    draft = {"id": 1, "user": "a@example.com", "result": [accepted]}
    regions(client, click(keypoint("k9", *inside(accepted)), drafts=[draft], id=962))
    assert passes == [2]


def in_auto_accept(*prompts: dict, **task: Any) -> dict[str, Any]:
    """A body of a project in which clicks never came together."""
    return {**click(*prompts, **task), "project": "4.1"}


def inside(region: dict) -> tuple[float, float]:
    """A point of a region's mask, in percent."""
    rows, columns = np.nonzero(rle.decode(region["value"]["rle"], 100, 200))
    return (columns[0] + 0.5) / 2, rows[0] + 0.5


def test_single_clicks_go_on_with_the_object_as_auto_accept_needs(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "FRESH_S", PATIENCE_S)
    first = regions(client, in_auto_accept(ONE, id=901))
    second = regions(client, in_auto_accept(keypoint("k2", 31, 41, positive=False), id=901))
    third = regions(client, in_auto_accept(keypoint("k3", 80, 90, positive=False), id=901))
    assert first[0]["id"] == second[0]["id"] == third[0]["id"]
    assert third[0]["meta"]["prompts"] == ["k1", "k2", "k3"]
    assert regions(client, in_auto_accept(keypoint("k4", 80, 90, positive=False), id=902)) == []


def test_an_image_of_another_size_than_in_the_browser_is_refused(app: Flask) -> None:
    entry = keypoint("k1", 30, 40)
    entry["original_width"] = 300
    assert regions(app.test_client(), click(entry)) == []
    assert "200x100 here but 300x100 in the browser" in backend_of(app).metrics.recent_refusals()[0]["text"]


def test_an_image_whose_file_was_replaced_is_fetched_again(app: Flask, images: ImageServer) -> None:
    path = "/data/upload/1/replaced.png"
    images.answers[path] = 200, png(np.zeros((50, 60, 3), np.uint8))
    assert regions(app.test_client(), click(ONE, path=path)) == []
    del images.answers[path]
    assert regions(app.test_client(), click(ONE, path=path)) != []


NO_CAT = CONFIG.replace('smart="false"><Label value="Cat"/>', 'smart="false">')


NO_BRUSH = CONFIG.replace("BrushLabels", "Choices")


@pytest.mark.parametrize(("config", "part"), [(NO_CAT, "'Cat'"), (NO_BRUSH, "BrushLabels")])
def test_a_config_without_a_place_for_the_mask_is_told(app: Flask, config: str, part: str) -> None:
    assert regions(app.test_client(), click(ONE, config=config)) == []
    refusal = backend_of(app).metrics.recent_refusals()[0]
    assert refusal["reason"] == "label_config"
    assert part in refusal["text"]


def test_negative_clicks_on_nothing_are_refused_in_words(app: Flask) -> None:
    assert regions(app.test_client(), click(keypoint("k1", 30, 40, positive=False), id=960)) == []
    refusal = backend_of(app).metrics.recent_refusals()[0]
    assert (refusal["reason"], "without Alt" in refusal["text"]) == ("nothing_to_mark", True)


def test_an_answer_is_noted_for_the_next_click(app: Flask) -> None:
    (region,) = regions(app.test_client(), click(ONE, id=961))
    request = PredictRequest.parse(click(keypoint("k2", 31, 41), id=961))
    assert request.context is not None
    pipeline = app.extensions["clickmask"].service._pipeline
    last = pipeline.last_objects.recall(3, request.tasks[0], request.context[0])
    assert (last.region_id, last.prompts, last.size) == (region["id"], ("k1",), (100, 200))
    assert pipeline.last_good(request, request.context[0]).regions == (), "of other clicks there is none"


BLANK = CONFIG.replace('toName="image"', 'toName="image" allowEmpty="true"')
ROW = """<View><Image name="image" value="$image"/><KeyPoint name="kp" toName="image"/>%s
  <Labels name="row" toName="image" allowEmpty="true"><Label value="Cat"/><Label value="Dog"/></Labels></View>"""
NAMELESS = CONFIG.replace('<Label value="Cat"/>', '<Label value=""/><Label value="Cat"/>')
BRUSH = '<BrushLabels name="b" toName="image" %ssmart="false"><Label value="Cat"/><Label value="Dog"/></BrushLabels>'


@pytest.mark.parametrize("nothing", [[], [""]])
@pytest.mark.parametrize(
    ("config", "chosen", "given"),
    [
        (BLANK, True, False),
        (NAMELESS, True, False),
        (CONFIG, True, True),
        (ROW % BRUSH % 'allowEmpty="true" ', True, False),
        (ROW % BRUSH % 'allowEmpty="true" ', False, True),
        (ROW % BRUSH % "", True, True),
        (ROW % '<Brush name="b" toName="image"/>', True, False),
    ],
)
def test_who_chose_the_blank_label_gets_a_mask_without_one(
    client: FlaskClient, config: str, chosen: bool, given: bool, nothing: list[str]
) -> None:
    """A click for which nothing was chosen gets the label used last."""
    point = keypoint("k1", 30, 40)
    point["value"] |= {"labels": nothing, "keypointlabels": nothing}
    named = []
    if "<Labels" in config:
        point["type"] = "keypoint"
        named = [{**point, "type": "labels", "from_name": "row", "value": {"labels": nothing}}] * chosen
    (region,) = regions(client, click(point, *named, config=config))
    assert bool(region["value"].get("brushlabels")) == given
