"""The page for people: complete, escaped, behind the same password, and no obstacle without Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.jobs.configure import policy
from backend.settings import Settings
from backend.web.status_page import HEIGHT, WIDTH, polyline
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome, remember
from fine_tune.project.scheduler import Scheduler
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, backend_of, running, settings_for

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
CURVES = {"clickers": {"classic": {"curve": [0.5, 0.9]}}}


@pytest.fixture
def images():
    server = ImageServer()
    yield server
    server.close()


def test_what_is_going_on_is_shown(tmp_path: Path, images: ImageServer, redis_server: RedisServer):
    client = redis_server.client()
    annotation = {"id": 1, "task": 2, "updated_at": "2026", "result_count": 1}
    Ledger(client).record("ANNOTATION_CREATED", {"annotation": annotation, "project": {"id": 77}})
    job = Scheduler(client, policy(Settings())).request(77, "asked for by <b>me</b>")
    metrics = {"before": CURVES, "after": CURVES}
    remember(
        client, 77, Outcome("kept back", "not better on 9 objects", "project-77-1-0a1b2c3d", {}, metrics)
    )
    with running(settings_for(tmp_path, images, redis_url=redis_server.url)) as app:
        backend_of(app).metrics.refuse("image", 4, "the image <script>alert(1)</script> is gone")
        page = app.test_client().get("/", headers=BROWSER)
    assert page.mimetype == "text/html"
    for text in (
        "is ready",
        "base-1-",
        job.id,
        "project 77",
        "1 accepted",
        "not better on 9 objects",
        "polyline",
    ):
        assert text in page.text
    assert "<script>" not in page.text
    assert "<b>me" not in page.text


def test_published_quality_is_shown_by_annotator(
    tmp_path: Path, images: ImageServer, redis_server: RedisServer
):
    client = redis_server.client()
    annotation = {"id": 1, "task": 2, "updated_at": "2026", "result_count": 1}
    Ledger(client).record("ANNOTATION_CREATED", {"annotation": annotation, "project": {"id": 77}})
    for number, (who, iou) in enumerate(
        (("ann@example.com", 0.95), ("ann@example.com", 0.85), ("<i>bob", 0.2))
    ):
        entry = json.dumps({"task": number, "annotator": who, "iou": iou})
        client.hset("clickmask:quality:77", f"{number}/cm", entry)
    with running(settings_for(tmp_path, images, redis_url=redis_server.url)) as app:
        text = " ".join(app.test_client().get("/", headers=BROWSER).text.split())
    assert "everybody: predicted IoU 0.67 on average, 3 objects" in text
    assert "ann@example.com: predicted IoU 0.90 on average, 2 objects" in text
    assert "&lt;i&gt;bob: predicted IoU 0.20 on average, 1 objects" in text


def test_label_studio_still_gets_its_health(tmp_path: Path, images: ImageServer):
    with running(settings_for(tmp_path, images)) as app:
        answer = app.test_client().get("/")
    assert answer.json == {"status": "UP", "model_class": "clickmask"}


def test_it_is_there_without_redis(tmp_path: Path, images: ImageServer):
    with running(settings_for(tmp_path, images)) as app:
        page = app.test_client().get("/", headers=BROWSER)
    assert page.status_code == 200
    assert "Redis absent" in page.text


def test_it_wants_the_password(tmp_path: Path, images: ImageServer):
    settings = settings_for(tmp_path, images, basic_auth_user="me", basic_auth_pass="secret")
    with running(settings) as app:
        browser = app.test_client()
        assert browser.get("/", headers=BROWSER).status_code == 401
        assert browser.get("/", headers=BROWSER, auth=("me", "secret")).status_code == 200


def test_a_curve_fills_its_box():
    assert polyline([0.0, 0.5, 1.0]) == f"0.0,{HEIGHT:.1f} {WIDTH / 2:.1f},{HEIGHT / 2:.1f} {WIDTH:.1f},0.0"
