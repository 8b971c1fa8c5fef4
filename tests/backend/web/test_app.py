import base64
import logging
import time
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from backend.settings import Settings
from fine_tune.project.ledger import Ledger
from model.versions.registry import Registry
from tests.backend.predict_bodies import CONFIG, ONE, click, keypoint
from tests.backend.published_models import add
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, backend_of, regions, running, settings_for


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
        end = time.monotonic() + 60
        while backend_of(app).models.take(3, 60).version != own.name:  # base answers until it is loaded
            assert time.monotonic() < end
        assert regions(client, click(ONE))[0]["meta"]["model_version"] == own.name


def test_control_routes_answer_before_there_is_a_model(images: ImageServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, images, deadline_s=0.2)
    weights = Registry(tmp_path).current("base").path / "model.safetensors"  # type: ignore[union-attr]
    weights.write_bytes(b"nonsense")
    with running(settings, wait=False) as app:
        client = app.test_client()
        assert client.get("/health").status_code == 200
        assert client.post("/setup", json={"project": "3.1"}).status_code == 200
        answer = client.post("/predict", json=click(ONE))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        ready = client.get("/ready")
        assert ready.status_code == 503
        assert "sha256" in ready.json["reason"]


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


def test_an_opened_task_stores_nothing_and_its_image_is_fetched(
    client: FlaskClient, images: ImageServer
) -> None:
    body = click(ONE, path="/data/upload/1/opened.png")
    body["params"]["context"] = None
    assert client.post("/predict", json=body).json == {"results": [[]]}
    deadline = time.monotonic() + 30
    while "/data/upload/1/opened.png" not in images.asked:
        assert time.monotonic() < deadline
        time.sleep(0.02)


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


def test_a_box_is_a_prompt(client: FlaskClient) -> None:
    from tests.backend.predict_bodies import rectangle

    (region,) = regions(client, click(rectangle("r1", 20, 20, 40, 50)))
    assert region["value"]["brushlabels"] == ["Cat"]


def test_correcting_an_accepted_mask_replaces_it(client: FlaskClient) -> None:
    (accepted,) = regions(client, click(ONE))
    draft = {"id": 1, "user": "a@example.com", "result": [accepted]}
    x, y = inside(accepted)
    (region,) = regions(client, click(keypoint("k9", x, y, positive=False), drafts=[draft]))
    assert region["id"] == accepted["id"]
    assert region["meta"]["prompts"] == ["k1", "k9"]
    assert len(region["meta"]["points"]) == 2


def inside(region: dict) -> tuple[float, float]:
    """A point of a region's mask, in percent."""

    from backend.label_studio.mask_formats import rle

    rows, columns = np.nonzero(rle.decode(region["value"]["rle"], 100, 200))
    return (columns[0] + 0.5) / 2, rows[0] + 0.5


def test_single_clicks_go_on_with_the_object_as_auto_accept_needs(client: FlaskClient) -> None:
    first = regions(client, click(ONE, id=901))
    second = regions(client, click(keypoint("k2", 31, 41, positive=False), id=901))
    third = regions(client, click(keypoint("k3", 80, 90, positive=False), id=901))
    assert first[0]["id"] == second[0]["id"] == third[0]["id"]
    assert third[0]["meta"]["prompts"] == ["k1", "k2", "k3"]
    assert regions(client, click(keypoint("k4", 80, 90, positive=False), id=902)) == []


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
