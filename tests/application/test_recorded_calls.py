"""Every recorded call of a real Label Studio goes through the whole application."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from flask import Flask

from backend.label_studio.mask_formats import bitmask, rle
from tests.backend import recordings
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, regions, running, settings_for


@pytest.fixture(scope="module")
def app(images: ImageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with running(settings_for(tmp_path_factory.mktemp("home"), images)) as app:
        yield app


def asked(name: str, images: ImageServer) -> Any:
    """The recorded body, with an image behind its address that has the size the browser saw."""
    body = recordings.body(name)
    context = body["params"]["context"]
    for entry in (context or {}).get("result", []):
        images.size = entry["original_width"], entry["original_height"]
    # The same address may show another image in another recording.
    for task in body["tasks"]:
        separator = "&" if "?" in task["data"]["image"] else "?"
        task["data"]["image"] += f"{separator}recording={name}"
    return body


@pytest.mark.parametrize("name", recordings.names("/predict"))
def test_predict(app: Flask, images: ImageServer, name: str) -> None:
    body = asked(name, images)
    answer = app.test_client().post("/predict", json=body)
    assert answer.status_code == 200
    assert answer.json is not None
    context = body["params"]["context"]
    if context is None:
        assert answer.json == {"results": [[] for _ in body["tasks"]]}
        return
    (prediction,) = answer.json["results"]
    assert set(prediction) == {"result", "score", "model_version"}
    if not context["result"]:
        assert prediction["result"] == []
        return
    prompt = context["result"][-1]
    labels = prompt["value"].get(prompt["type"]) or ["Cup"]  # the first of the config, where none was chosen
    assert prediction["result"], "a prompt without a mask"
    for region in prediction["result"]:
        assert re.search(rf'name="{region["from_name"]}"', body["label_config"])
        assert region["type"] in ("brushlabels", "polygonlabels", "bitmasklabels")
        assert region["to_name"] == prompt["to_name"]
        assert region["value"][region["type"]] == labels
        assert region["id"] not in [entry["id"] for entry in context["result"]]
        for key in ("original_width", "original_height", "image_rotation"):
            assert region[key] == prompt[key]
        if region["type"] == "brushlabels":
            mask = rle.decode(region["value"]["rle"], region["original_height"], region["original_width"])
            assert np.count_nonzero(mask) > 0
        if region["type"] == "bitmasklabels":
            url = region["value"]["imageDataURL"]
            assert bitmask.decode(url, region["original_height"], region["original_width"]).any()


@pytest.mark.parametrize("route", ["/health", "/versions"])
def test_calls_without_a_body(app: Flask, route: str) -> None:
    assert app.test_client().get(route).status_code == 200


@pytest.mark.parametrize("name", recordings.names("/setup"))
def test_setup(app: Flask, name: str) -> None:
    answer = app.test_client().post("/setup", json=recordings.body(name))
    assert answer.status_code == 200
    assert answer.json["model_version"].startswith("base-1-")


@pytest.mark.parametrize("name", recordings.names("/webhook"))
def test_webhooks(app: Flask, name: str) -> None:
    assert app.test_client().post("/webhook", json=recordings.body(name)).status_code == 202


def test_recorded_webhooks_reach_the_ledger(
    images: ImageServer, tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> None:
    from fine_tune.project.ledger import Ledger
    from tests.backend.running_app import backend_of

    home = tmp_path_factory.mktemp("home")
    with running(settings_for(home, images, redis_url=redis_server.url), wait=False) as app:
        for name in recordings.names("/webhook"):
            app.test_client().post("/webhook", json=recordings.body(name))
        backend_of(app).webhooks.flush()
    created = recordings.body("27")["annotation"]
    deleted = recordings.body("60")["annotations"][0]["id"]
    ledger = Ledger(redis_server.client())
    assert ledger.annotations(created["project"])[created["id"]]["task"] == created["task"]
    assert deleted not in ledger.annotations(recordings.body("60")["project"]["id"])


def test_clicks_add_up_as_recorded(app: Flask, images: ImageServer) -> None:
    """Recordings 20 to 22 are one object: positive, positive, negative."""
    answers = []
    for number in ("20", "21", "22"):
        body = asked(number, images)
        body["tasks"][0]["data"]["image"] = "/data/upload/3/one-object.jpg"
        (region,) = regions(app.test_client(), body)
        answers.append((tuple(region["value"]["rle"]), region["score"]))
        assert region["meta"]["clicks"] == len(answers)
    assert len(set(answers)) == 3


def test_a_recorded_mask_can_be_corrected(app: Flask, images: ImageServer) -> None:
    """Recording 28 shows a submitted annotation; the click is moved into its mask, of which there is a draft."""
    body = asked("28", images)
    accepted = body["tasks"][0]["annotations"][0]["result"][0]
    draft = {"id": 3, "user": "admin@example.com", "annotation": 16, "result": [accepted]}
    body["tasks"][0]["drafts"] = [draft]
    mask = rle.decode(accepted["value"]["rle"], 480, 640)
    rows, columns = np.nonzero(mask)
    body["params"]["context"]["result"][0]["value"] |= {
        "x": (columns[0] + 0.5) / 6.4,
        "y": (rows[0] + 0.5) / 4.8,
    }
    assert regions(app.test_client(), body)[0]["id"] == accepted["id"]
