"""The routes: what they answer, whom they let in, and what they refuse before anybody is asked."""

import base64
import copy
import logging
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.settings import Settings
from fine_tune.project.ledger import Ledger
from model.versions.registry import Registry
from tests.backend.predict_bodies import CONFIG, ONE, click, keypoint
from tests.backend.published_models import add
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, backend_of, regions, running, settings_for
from tests.waiting import PATIENCE_S, until


def test_health_setup_and_versions(client: FlaskClient, settings: Settings) -> None:
    version = Registry(settings.home).current("base")
    assert version is not None
    assert client.get("/health").json == {"status": "UP", "model_class": "clickmask"}
    assert client.get("/").status_code == 200
    body = {"project": "3.1795333633", "schema": CONFIG, "hostname": "h", "access_token": "t"}
    assert client.post("/setup", json=body).json == {"model_version": version.name}
    assert client.get("/versions").json == {"versions": [version.name]}
    assert client.get("/ready").json["models"]["base"]["version"] == version.name


def test_a_projects_own_model_is_named_by_setup(images: ImageServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, images)
    own = add(Registry(tmp_path), "project-3", seed=1)
    with running(settings) as app:
        client = app.test_client()
        assert client.post("/setup", json={"project": "3.1"}).json == {"model_version": own.name}
        # Until it is loaded the base model answers.
        until("its own model", lambda: backend_of(app).models.take(3, PATIENCE_S).version == own.name)
        assert regions(client, click(ONE))[0]["meta"]["model_version"] == own.name


def test_control_routes_answer_before_there_is_a_model(
    images: ImageServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(tmp_path, images)
    weights = Registry(tmp_path).current("base").path / "model.safetensors"  # type: ignore[union-attr]
    weights.write_bytes(b"nonsense")
    with running(settings, wait=False) as app:
        client = app.test_client()
        assert client.get("/health").status_code == 200
        assert client.post("/setup", json={"project": "3.1"}).status_code == 200
        until("the reason", lambda: "sha256" in client.get("/ready").json["reason"])
        assert client.get("/ready").status_code == 503
        answer = client.post("/predict", json=click(ONE))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
    # Whoever waits for a model asks several times a second.
    assert "/predict 503" in caplog.text and "sha256" in caplog.text
    assert "/ready" not in caplog.text


def test_webhooks_are_taken_and_recorded(
    images: ImageServer, tmp_path: Path, redis_server: RedisServer
) -> None:
    with running(settings_for(tmp_path, images, redis_url=redis_server.url), wait=False) as app:
        client, annotation = app.test_client(), {"id": 5, "task": 9, "updated_at": "2026-01-01T00:00:00Z"}
        body = {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": {"id": 3}}
        answer = client.post("/webhook", json=body)
        assert (answer.status_code, answer.json) == (202, {"taken": True})
        assert client.post("/train", json={"project": {"id": 3}}).status_code == 202
        assert client.post("/webhook", json={"project": {"id": 3}}).status_code == 400
        backend_of(app).webhooks.flush()
        assert list(Ledger(redis_server.client()).annotations(3)) == [5]
        assert client.get("/ready").json["redis"] == "up"


def test_a_project_is_known_from_its_setup_on(
    images: ImageServer, tmp_path: Path, redis_server: RedisServer
) -> None:
    with running(settings_for(tmp_path, images, redis_url=redis_server.url), wait=False) as app:
        assert app.test_client().post("/setup", json={"project": "3.1"}).status_code == 200
        backend_of(app).redis.flush()
    assert Ledger(redis_server.client()).projects() == [3]


def test_training_cannot_be_asked_for_without_redis(client: FlaskClient) -> None:
    assert client.post("/train", json={"project": "3.1795333633"}).status_code == 503
    assert client.post("/train", json={}).json["field"] == "project"


def test_clicks_are_answered_while_redis_is_down(
    images: ImageServer, tmp_path: Path, redis_server: RedisServer
) -> None:
    with running(settings_for(tmp_path, images, redis_url=redis_server.url)) as app:
        client = app.test_client()
        first = regions(client, click(ONE))
        redis_server.stop()
        assert regions(client, click(ONE)) == first
        assert regions(client, click(ONE, keypoint("k2", 60, 70)))
        ready = client.get("/ready")
        assert (ready.status_code, ready.json["redis"]) == (200, "down")


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_passwords_and_secrets(images: ImageServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = settings_for(
        tmp_path, images, basic_auth_user="ls", basic_auth_pass="hidden-1", webhook_secret="hidden-2"
    )
    event = {"action": "PROJECT_UPDATED", "project": {"id": 3, "token": "hidden-3"}}
    with running(settings) as app:
        client = app.test_client()
        assert client.get("/health").status_code == 200
        assert client.get("/health", headers=basic("ls", "wrong")).status_code == 401
        assert client.post("/predict", json=click(ONE)).status_code == 401
        assert client.post("/predict", json=click(ONE), headers=basic("ls", "hidden-1")).status_code == 200
        assert client.post("/webhook", json=event).status_code == 401
        assert client.post("/webhook?secret=hidden-2", json=event).status_code == 202
        assert (
            client.post("/webhook", json=event, headers={"X-Clickmask-Secret": "hidden-2"}).status_code == 202
        )
        assert client.post("/webhook?secret=hidden-9", json=event).status_code == 401
    assert "hidden" not in caplog.text


def test_every_answer_has_an_id(client: FlaskClient) -> None:
    first, second = client.get("/health"), client.get("/nothing")
    assert len({first.headers["X-Request-Id"], second.headers["X-Request-Id"]}) == 2


@pytest.mark.parametrize(("redis_url", "warned"), [(None, True), ("redis://127.0.0.1:1", False)])
def test_several_processes_without_redis_are_warned_of(
    images: ImageServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, redis_url: str | None, warned: bool
) -> None:
    with running(settings_for(tmp_path, images, workers=2, redis_url=redis_url), wait=False):
        assert ("CLICKMASK_WORKERS=2 without CLICKMASK_REDIS_URL" in caplog.text) is warned


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


@pytest.mark.parametrize(
    ("body", "task", "part"),
    [
        (click({**ONE, "to_name": "photo"}, id=41), "41", "params.context.result[0].to_name"),
        (click({**ONE, "is_positive": "maybe"}, id="x"), "", "tasks[0].id"),
        ({"tasks": "x"}, "", "tasks"),
        ([], "", "body"),
        (["x" * (1 << 20)], "", "exceeds the capacity limit"),
    ],
)
def test_a_request_that_cannot_be_read_has_a_reason_everywhere(
    app: Flask, caplog: pytest.LogCaptureFixture, body: Any, task: str, part: str
) -> None:
    client = app.test_client()
    assert client.post("/predict", json=body).status_code in (400, 413)
    refusal = backend_of(app).metrics.recent_refusals()[0]
    assert (refusal["reason"], refusal["task"]) == ("request", task)
    assert part in refusal["text"]
    assert part in caplog.text
    assert 'clickmask_refused_total{reason="request"}' in client.get("/metrics").text
    assert part in client.get("/", headers={"Accept": "text/html"}).text


def test_other_routes_refuse_no_clicks(app: Flask) -> None:
    before = backend_of(app).metrics.recent_refusals()
    assert app.test_client().post("/train", json={}).status_code == 400
    assert backend_of(app).metrics.recent_refusals() == before


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
        ({"Content-Type": "application/json", "Origin": "http://["}, 403),
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
