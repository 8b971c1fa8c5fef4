"""The service: opened tasks, refusals that are told, places in the queue, deadlines."""

import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.backend.predict_bodies import ONE, click, keypoint
from tests.backend.running_app import ImageServer, backend_of, regions, running, settings_for
from tests.waiting import until


def test_an_opened_task_stores_nothing_and_its_image_is_fetched(
    client: FlaskClient, images: ImageServer
) -> None:
    body = click(ONE, path="/data/upload/1/opened.png")
    body["params"]["context"] = None
    assert client.post("/predict", json=body).json == {"results": [[]]}
    until("the image's request", lambda: "/data/upload/1/opened.png" in images.asked)


def test_a_batch_has_an_entry_for_each_task_and_fetches_nothing(
    client: FlaskClient, images: ImageServer
) -> None:
    body = click(path="/data/upload/1/batch.png")
    body["params"]["context"] = None
    body["tasks"] *= 3
    assert client.post("/predict", json=body).json == {"results": [[], [], []]}
    assert "/data/upload/1/batch.png" not in images.asked


def test_nothing_to_answer_is_an_empty_result(client: FlaskClient) -> None:
    assert regions(client, click()) == []


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


def test_an_image_that_comes_slowly_keeps_those_waiting_that_have_none(
    images: ImageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings_for(tmp_path, images, slots=1, queue=0)) as app:
        client = app.test_client()
        first = regions(client, click(ONE))
        monkeypatch.setattr(backend_of(app).service, "_deadline_s", 2.0)
        images.gate.clear()
        slow = click(ONE, path="/data/upload/1/slow.png")
        thread = threading.Thread(target=lambda: app.test_client().post("/predict", json=slow))
        thread.start()
        try:
            until("the slow click", lambda: "/data/upload/1/slow.png" in images.asked)
            assert regions(client, click(ONE)) == first
            answer = client.post("/predict", json=click(ONE, path="/data/upload/1/new.png"))
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
        finally:
            thread.join(30)
            images.gate.set()
        told = {refusal["reason"]: refusal["text"] for refusal in backend_of(app).metrics.recent_refusals()}
        assert "slow.png: not there within 2 s" in told["image"]
        store = backend_of(app).images
        until("its end", lambda: store.peek("/data/upload/1/slow.png"))
        monkeypatch.undo()
        assert regions(client, slow)


def test_more_clicks_than_the_queue_holds_are_refused(
    images: ImageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings_for(tmp_path, images, slots=1, queue=0)) as app:
        service, client = backend_of(app).service, app.test_client()
        regions(client, click(ONE))
        engine, release = service._models.take(None, 1).predictor.engine, threading.Event()
        real = engine.run
        monkeypatch.setattr(engine, "run", lambda *given: (release.wait(30), real(*given))[1])
        more = click(keypoint("k2", 60, 70))
        thread = threading.Thread(target=lambda: app.test_client().post("/predict", json=more))
        thread.start()
        try:
            until("the slow click", lambda: service.admission.load() == (1, 0))
            assert client.post("/predict", json=click(ONE)).status_code == 503
        finally:
            release.set()
            thread.join(30)
        until("its end", lambda: service.admission.load() == (0, 0))
        assert regions(client, click(ONE))


def test_past_the_deadline_the_last_mask_stays(
    images: ImageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings_for(tmp_path, images)) as app:
        first = regions(app.test_client(), click(ONE))
        monkeypatch.setattr(backend_of(app).service, "_deadline_s", 2.0)
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
