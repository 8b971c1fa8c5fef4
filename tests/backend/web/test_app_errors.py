"""What the application refuses, and how it answers when something fails."""

import copy
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.backend.predict_bodies import CONFIG, ONE, click, keypoint
from tests.backend.running_app import ImageServer, backend_of, png, regions, running, settings_for


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda body: body.pop("tasks"), "tasks"),
        (
            lambda body: body["params"]["context"]["result"][0].pop("to_name"),
            "params.context.result[0].to_name",
        ),
        (
            lambda body: body["params"]["context"]["result"][0]["value"].update(x="left"),
            "params.context.result[0].value.x",
        ),
        (lambda body: body.update(label_config="<View"), "label_config"),
    ],
)
def test_a_malformed_body_is_refused_with_the_field(client: FlaskClient, change: Any, field: str) -> None:
    body = copy.deepcopy(click(ONE))
    change(body)
    answer = client.post("/predict", json=body)
    assert answer.status_code == 400
    assert answer.json["field"] == field


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(client: FlaskClient, data: bytes) -> None:
    for route in ("/predict", "/setup", "/webhook", "/train"):
        answer = client.post(route, data=data, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json["field"] == "body"


@pytest.mark.parametrize("route", ["/predict", "/setup", "/webhook", "/train"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({}, 415),
        ({"Content-Type": "application/json", "Origin": "https://elsewhere.example"}, 403),
        ({"Content-Type": "application/json", "Origin": "null"}, 403),
        ({"Content-Type": "application/json; charset=utf-8", "Origin": "http://localhost"}, 400),
    ],
)
def test_what_a_page_elsewhere_may_make_a_browser_send_is_refused(
    app: Flask, route: str, headers: dict[str, str], status: int
) -> None:
    answer = app.test_client().post(route, data=b"[]", headers=headers)
    assert answer.status_code == status
    assert answer.json["error"]


def test_a_body_over_the_limit_is_refused(client: FlaskClient) -> None:
    assert (
        client.post("/predict", data=b"x" * (1 << 20) + b"x", content_type="application/json").status_code
        == 413
    )


def test_unknown_routes_and_methods_are_json_too(client: FlaskClient) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.get("/predict").status_code == 405
    assert "error" in client.get("/nothing").json


@pytest.mark.parametrize(
    ("path", "status", "content", "part"),
    [
        ("/data/upload/1/401.png", 401, b"", "LABEL_STUDIO_API_KEY"),
        ("/data/upload/1/404.png", 404, b"", "no such file"),
        ("/data/upload/1/text.png", 200, b"not an image", "image"),
        ("file:///etc/passwd", None, b"", "file"),
    ],
)
def test_an_image_that_cannot_be_had_empties_the_answer_and_is_told(
    app: Flask,
    images: ImageServer,
    caplog: pytest.LogCaptureFixture,
    path: str,
    status: int | None,
    content: bytes,
    part: str,
) -> None:
    if status is not None:
        images.answers[path] = status, content
    assert regions(app.test_client(), click(ONE, path=path)) == []
    refusal = backend_of(app).metrics.recent_refusals()[0]
    assert refusal["reason"] == "image"
    assert part in refusal["text"]
    assert refusal["text"] in caplog.text
    assert 'clickmask_refused_total{reason="image"}' in app.test_client().get("/metrics").text


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


def test_too_many_requests_are_refused_and_late_ones_answered(images: ImageServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, images, slots=1, queue=0, deadline_s=0.3)
    with running(settings) as app:
        client = app.test_client()
        first = regions(client, click(ONE))
        images.gate.clear()
        slow = click(ONE, path="/data/upload/1/slow.png")
        thread = threading.Thread(target=lambda: app.test_client().post("/predict", json=slow))
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while backend_of(app).service.admission.load() != (1, 0):
                assert time.monotonic() < deadline
            answer = client.post("/predict", json=click(ONE))
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
        finally:
            thread.join(30)
            images.gate.set()
        refusal = backend_of(app).metrics.recent_refusals()[0]
        assert refusal["reason"] == "deadline"
        while backend_of(app).service.admission.load() != (0, 0):
            assert time.monotonic() < deadline
        assert regions(client, click(ONE)) == first
        assert regions(client, slow)  # what came too late is in the cache now


def test_past_the_deadline_the_last_mask_stays(
    images: ImageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path, images, deadline_s=0.3)
    with running(settings) as app:
        first = regions(app.test_client(), click(ONE))
        predictor = backend_of(app).models.take(None, 1).predictor
        release = threading.Event()
        real = predictor.engine.run

        def slow(*args: Any) -> Any:
            release.wait(30)
            return real(*args)

        monkeypatch.setattr(predictor.engine, "run", slow)
        second = regions(app.test_client(), click(ONE, keypoint("k2", 60, 70)))
        release.set()
        assert second[0]["value"] == first[0]["value"]


def test_an_unexpected_error_shows_the_last_mask_or_a_number_to_look_up(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = app.test_client()
    first = regions(client, click(ONE, id=950))
    engine = backend_of(app).models.take(None, 1).predictor.engine
    monkeypatch.setattr(engine, "run", lambda *_: 1 / 0)
    assert regions(client, click(ONE, keypoint("k2", 60, 70), id=950))[0]["value"] == first[0]["value"]
    answer = client.post("/predict", json=click(keypoint("k7", 77, 77), id=951))
    assert answer.status_code == 500
    assert answer.headers["X-Request-Id"] in answer.json["error"]
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError" in caplog.text
