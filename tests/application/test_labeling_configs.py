"""Labeling configs that people have, through the whole application: every one gets a mask that it can show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.label_studio import mask_regions
from tests.backend.predict_bodies import CONFIG, keypoint, predict, rectangle
from tests.backend.running_app import ImageServer, backend_of, regions

ROW = '<Labels name="label" toName="image"><Label value="Cup"/><Label value="Spoon"/></Labels>'
IMAGE = '<Image name="image" value="$image"/>'
CLICKS = (
    '<KeyPoint name="kp" toName="image" smart="true"/><Rectangle name="rect" toName="image" smart="true"/>'
)
BOTH = '<Label value="Cup"/><Label value="Spoon"/>'


def config(*tags: str) -> str:
    return f"<View>{''.join(tags)}</View>"


def hidden(tag: str) -> str:
    return f'<View style="display:none"><{tag} name="mask" toName="image" smart="false">{BOTH}</{tag}></View>'


def click(number: str, x: float, y: float, *labels: str, positive: bool = True) -> list[dict[str, Any]]:
    """What the editor sends for a click of <KeyPoint>, with the row's label where one is selected."""
    entry = keypoint(number, x, y, positive)
    entry |= {"type": "keypoint", "value": {"x": x, "y": y, "width": 0.2, "labels": list(labels)}}
    row = {**entry, "type": "labels", "from_name": "label"}
    return [entry, row] if labels else [entry]


CONFIGS = {
    "hidden brush": (config(ROW, IMAGE, CLICKS, hidden("BrushLabels")), ["brushlabels"]),
    "hidden bitmask": (config(ROW, IMAGE, CLICKS, hidden("BitmaskLabels")), ["bitmasklabels"]),
    "hidden polygon": (config(ROW, IMAGE, CLICKS, hidden("PolygonLabels")), ["polygonlabels"]),
    "plain brush": (config(ROW, IMAGE, CLICKS, '<Brush name="b" toName="image"/>'), ["brush", "labels"]),
    "plain bitmask": (
        config(ROW, IMAGE, CLICKS, '<Bitmask name="b" toName="image"/>'),
        ["bitmask", "labels"],
    ),
    "plain polygon": (
        config(ROW, IMAGE, CLICKS, '<Polygon name="b" toName="image"/>'),
        ["polygon", "labels"],
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_click_beside_a_row_of_labels_is_answered(client: FlaskClient, name: str) -> None:
    xml, kinds = CONFIGS[name]
    answer = regions(client, predict(*click("k1", 30, 40, "Spoon"), config=xml, id=100))
    assert [region["type"] for region in answer] == kinds
    assert len({region["id"] for region in answer}) == 1
    assert all(f'name="{region["from_name"]}"' in xml for region in answer)
    (read,) = mask_regions.accepted(answer)
    assert (read.labels, read.mask().any()) == (("Spoon",), True)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_accepted_mask_is_corrected_after_it_was_named_otherwise(client: FlaskClient, name: str) -> None:
    xml, _ = CONFIGS[name]
    answer = regions(client, predict(*click("k1", 30, 40, "Cup"), config=xml, id=101))
    named = {**answer[0], "type": "labels", "from_name": "label"}
    named["value"] = {**answer[0]["value"], "labels": ["Spoon"]}
    draft = {"id": 1, "user": "a@example.com", "result": [*answer[:1], named]}
    (read,) = mask_regions.accepted(draft["result"])
    rows, columns = np.nonzero(read.mask())
    x, y = (columns[0] + 0.5) / 2, rows[0] + 0.5
    for label, same in (("Spoon", True), ("Cup", False)):
        prompts = click(f"{label}2", x, y, label, positive=same)
        again = regions(client, predict(*prompts, config=xml, id=102, drafts=[draft]))
        prompts = {prompt for region in again[:1] for prompt in region["meta"]["prompts"]}
        assert (set(answer[0]["meta"]["prompts"]) < prompts) is same
        # The editor breaks where a bitmask is replaced that is selected.
        kept = same and "bitmask" not in name
        assert ([region["id"] for region in again[:1]] == [answer[0]["id"]]) is kept


COND = '<Labels name="cond" toName="image"><Label value="occluded"/><Label value="blurred"/></Labels>'


def remarked(entries: list[dict[str, Any]], *, first: bool) -> list[dict[str, Any]]:
    """Select "occluded" of the row for remarks, too; the editor puts the labels of its first row into the prompt."""
    entry = entries[0] | ({"value": {**entries[0]["value"], "labels": ["occluded"]}} if first else {})
    row = {**entry, "type": "labels", "from_name": "cond"}
    row["value"] = {**entry["value"], "labels": ["occluded"]}
    return [entry, row, *entries[1:]] if first else [entry, *entries[1:], row]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", [name for name in CONFIGS if "hidden" in name])
def test_a_remark_that_is_selected_is_no_label(client: FlaskClient, name: str, first: bool) -> None:
    xml = CONFIGS[name][0].replace(ROW, COND + ROW if first else ROW + COND)
    prompts = remarked(click("k1", 30, 40, "Spoon"), first=first)
    (region,) = regions(client, predict(*prompts, config=xml, id=113))
    assert mask_regions.accepted([region])[0].labels == ("Spoon",)
    (region,) = regions(client, predict(*remarked(click("k2", 30, 40), first=True), config=xml, id=113))
    assert mask_regions.accepted([region])[0].labels == ("Spoon",)  # as a click without a label


def test_a_plain_mask_is_named_by_one_row(client: FlaskClient) -> None:
    xml = CONFIGS["plain brush"][0].replace(ROW, ROW + COND)
    prompts = click("k1", 30, 40, "Spoon")
    prompts[0]["value"]["labels"] = ["Spoon", "occluded"]
    _, name = regions(client, predict(*prompts, config=xml, id=114))
    assert (name["from_name"], name["value"]) == ("label", {"labels": ["Spoon"]})


def test_a_plain_mask_is_named_by_the_row_that_was_selected(client: FlaskClient) -> None:
    """Where another row has a label of the same name, it says nothing of the mask."""
    other = ROW.replace('"label"', '"stain"').replace('"Cup"', '"Good"')
    xml = CONFIGS["plain brush"][0].replace(ROW, other + ROW)
    _, name = regions(client, predict(*click("k1", 30, 40, "Spoon"), config=xml, id=117))
    assert (name["from_name"], name["value"]) == ("label", {"labels": ["Spoon"]})


@pytest.mark.parametrize("labelled", [True, False])
def test_a_mask_with_a_remark_is_corrected_in_place(client: FlaskClient, labelled: bool) -> None:
    if labelled:  # no row names masks
        xml = CONFIG.replace("<View>", f"<View>{COND}")
        first, second = [keypoint("k1", 30, 40)], lambda x, y: [keypoint("k2", x, y)]
    else:
        xml = CONFIGS["hidden brush"][0].replace(ROW, ROW + COND)
        first, second = click("k1", 30, 40, "Spoon"), lambda x, y: click("k2", x, y, "Spoon")
    (made,) = regions(client, predict(*first, config=xml, id=115))
    rows, columns = np.nonzero(mask_regions.accepted([made])[0].mask())
    x, y = (columns[0] + 0.5) / 2, rows[0] + 0.5
    row = {**made, "type": "labels", "from_name": "cond"}
    row["value"] = {**made["value"], "labels": ["occluded"]}
    for result in ([made, row], [{**made, "meta": {}, "origin": "manual"}, row]):
        draft = {"id": 1, "user": "a@example.com", "result": result}
        again, remark = regions(client, predict(*second(x, y), config=xml, id=116, drafts=[draft]))
        assert again["id"] == remark["id"] == made["id"]
        assert (remark["from_name"], remark["value"]["labels"]) == ("cond", ["occluded"])


def test_a_box_beside_a_row_of_labels_is_answered(client: FlaskClient) -> None:
    entry = rectangle("r1", 20, 20, 40, 50)
    row = {**entry, "type": "labels", "from_name": "label"}
    del entry["value"]["rectanglelabels"]
    row["value"] = {**entry["value"], "labels": ["Spoon"]}
    xml = CONFIGS["hidden brush"][0]
    (region,) = regions(client, predict({**entry, "type": "rectangle"}, row, config=xml, id=103))
    assert region["value"]["brushlabels"] == ["Spoon"]


def test_a_click_without_a_label_gets_the_last_one_of_the_task(client: FlaskClient) -> None:
    def label(*prompts: dict[str, Any]) -> list[str]:
        body = predict(*prompts, config=CONFIGS["hidden brush"][0], id=104)
        return regions(client, {**body, "project": "77.1"})[0]["value"]["brushlabels"]

    assert label(*click("k1", 30, 40)) == ["Cup"]
    assert label(*click("s1", 70, 40, "Spoon")) == ["Spoon"]
    assert label(*click("k2", 10, 10)) == ["Spoon"]
    assert label(*click("k1", 30, 40), *click("k3", 35, 40)) == ["Cup"]


def test_a_click_without_a_label_is_answered_where_the_config_allows_it(client: FlaskClient) -> None:
    xml = CONFIG.replace('toName="image"', 'toName="image" allowEmpty="true"')
    entry = keypoint("k1", 30, 40)
    entry["value"] |= {"keypointlabels": [], "labels": []}
    (region,) = regions(client, predict(entry, config=xml, id=112))
    assert region["value"]["brushlabels"] == []


def test_without_any_labels_masks_have_none(client: FlaskClient) -> None:
    xml = config(IMAGE, CLICKS, '<Brush name="b" toName="image"/>')
    (region,) = regions(client, predict(*click("k1", 30, 40), config=xml, id=105))
    assert region["type"] == "brush"
    assert set(region["value"]) == {"format", "rle"}


PAGES = """<View><Repeater on="$pages" indexFlag="{{idx}}"><Image name="page_{{idx}}" value="$pages[{{idx}}].image"/>
  <KeyPointLabels name="kp_{{idx}}" toName="page_{{idx}}" smart="true"><Label value="Cat"/></KeyPointLabels>
  <BrushLabels name="brush_{{idx}}" toName="page_{{idx}}" smart="false"><Label value="Cat"/></BrushLabels>
</Repeater></View>"""


def test_pages_of_a_repeater_are_answered(client: FlaskClient, images: ImageServer) -> None:
    data = {"pages": [{"image": "/data/upload/1/page0.png"}, {"image": "/data/upload/1/page1.png"}]}
    entry = {**keypoint("k1", 30, 40), "to_name": "page_1", "from_name": "kp_1"}
    (region,) = regions(client, predict(entry, config=PAGES, data=data, id=106))
    assert (region["from_name"], region["to_name"]) == ("brush_1", "page_1")
    assert images.asked[-1] == "/data/upload/1/page1.png"


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("$doc.image", {"doc": {"image": "/data/upload/1/nested.png"}}),
        ("$doc.image", {"doc.image": "/data/upload/1/nested.png"}),
        ("$doc.images[1]", {"doc": {"images": ["/x", "/data/upload/1/nested.png"]}}),
    ],
)
def test_nested_data_is_answered(client: FlaskClient, images: ImageServer, source: str, data: dict) -> None:
    xml = CONFIG.replace("$image", source)
    assert regions(client, predict(keypoint("k1", 30, 40), config=xml, data=data, id=107))


def test_a_comment_with_a_declaration_is_no_declaration(client: FlaskClient) -> None:
    assert regions(
        client, predict(keypoint("k1", 30, 40), config=f"<!-- <!DOCTYPE html> -->{CONFIG}", id=108)
    )


def test_prewarming_fetches_the_image(client: FlaskClient, images: ImageServer) -> None:
    body = predict(data={"image": "/data/upload/1/prewarm.png"}, id=109)
    body["params"]["context"] = {"event": "prewarm"}
    assert regions(client, body) == []
    assert regions(
        client, predict(keypoint("k1", 30, 40), data={"image": "/data/upload/1/prewarm.png"}, id=109)
    )
    assert images.asked.count("/data/upload/1/prewarm.png") == 1


ELLIPSE = {**keypoint("e1", 10, 10), "type": "ellipselabels"}
MINUS = keypoint("k1", 30, 40, positive=False)


@pytest.mark.parametrize(
    ("prompts", "reason", "part"),
    [
        ([], "no_click", "open before it"),
        ([ELLIPSE], "no_click", "ellipselabels"),
        ([{**ELLIPSE, "type": "textarea"}], "no_click", "smart="),
        ([MINUS], "nothing_to_mark", "Alt"),
    ],
)
def test_an_empty_answer_has_a_reason_everywhere(
    app: Flask, caplog: pytest.LogCaptureFixture, prompts: list[dict[str, Any]], reason: str, part: str
) -> None:
    client = app.test_client()
    assert regions(client, predict(*prompts, id=110)) == []
    refusal = backend_of(app).metrics.recent_refusals()[0]
    assert refusal["reason"] == reason and part in refusal["text"]
    assert refusal["text"] in caplog.text
    assert f'clickmask_refused_total{{reason="{reason}"}}' in client.get("/metrics").text
    assert part in client.get("/", headers={"Accept": "text/html"}).text


def test_one_malformed_region_silences_nothing(client: FlaskClient) -> None:
    bad = {**keypoint("bad", 0, 0), "type": "polygonlabels"}
    bad["value"] = {"points": [[1, 1], [2, 2]], "polygonlabels": ["Cat"]}
    draft = {"id": 1, "user": "a@example.com", "result": [bad, None, {"type": "brushlabels", "value": 5}]}
    for entry in (keypoint("k1", 30, 40), keypoint("k2", 1.5, 1.5)):
        assert regions(client, predict(entry, drafts=[draft], id=111))
