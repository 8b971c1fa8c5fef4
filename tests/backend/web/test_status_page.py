"""The page for people: complete, escaped, behind the same password, and no obstacle without Redis."""

from __future__ import annotations

import json
from pathlib import Path

from rq.job import JobStatus

from backend.jobs.policy import policy
from backend.operations.propose_job import enqueue
from backend.settings import Settings
from backend.web.status_page import refused
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome, picture_of, remember
from fine_tune.project.scheduler import Scheduler
from model.proposals.trained import CARD_KEY
from model.versions.registry import Registry
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, backend_of, running, settings_for
from tests.fine_tune.proposals.disc_proposer import packaged
from tests.waiting import until

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
PHASES = {"fetching images": 1.0, "training": 0.5, "judging on held-out images": 0.0}
CURVES = {"clickers": {"classic": {"curve": [0.5, 0.9]}}}


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
        "<strong>1</strong> accepted",
        "not better on 9 objects",
        "polyline",
    ):
        assert text in page.text
    assert "<script>" not in page.text
    assert "<b>me" not in page.text


def test_the_phases_of_a_job_and_the_picture_of_its_verdict_are_shown(
    tmp_path: Path, images: ImageServer, redis_server: RedisServer
):
    client = redis_server.client()
    Ledger(client).meet(77)
    job = Scheduler(client, policy(Settings())).request(77, "test")
    phases = [{"name": name, "share": share, "seconds": 1.0, "left_s": 30} for name, share in PHASES.items()]
    job.meta.update(phase="training", share=0.5, eta_s=125, phases=phases, step=180, steps=360, loss=0.25)
    job.save_meta()
    job.set_status(JobStatus.STARTED)
    done = {"steps": 360, "planned_steps": 360, "samples": 2880, "seconds": 200.0}
    metrics = {"before": CURVES, "after": CURVES, "training": done, "clicks": 500}
    version = "project-77-1-0a1b2c3d"
    remember(client, 77, Outcome("promoted", "better", version, {}, metrics))
    settings = settings_for(tmp_path, images, redis_url=redis_server.url)
    picture_of(settings.home, version).parent.mkdir(parents=True)
    picture_of(settings.home, version).write_bytes(b"\x89PNG")
    with running(settings) as app:
        browser = app.test_client()
        text = " ".join(browser.get("/", headers=BROWSER).text.split())
        picture = browser.get(f"/pictures/{version}.png")
        others = [browser.get(path) for path in ("/pictures/none.png", "/pictures/..%2Fregistry%2Fa.png")]
    assert "about 2:05 minutes left" in text
    assert "training: step 180 of 360, loss 0.25" in text
    assert "fetching images" in text
    assert "360 of 360 training steps (2880 clicks learned from)" in text
    assert f'href="pictures/{version}.png"' in text
    assert (picture.status_code, picture.mimetype, picture.data) == (200, "image/png", b"\x89PNG")
    assert [other.status_code for other in others] == [404, 404]


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
    assert "&lt;i&gt;bob: predicted IoU 0.20 on average, 1 object" in text


def test_a_failed_job_is_asked_for_again_by_its_own_command(
    tmp_path: Path, images: ImageServer, redis_server: RedisServer
):
    client = redis_server.client()
    scheduler = Scheduler(client, policy(Settings()))
    for job in (scheduler.request(77, "test"), enqueue(client, 78, None, Settings())):
        job.set_status(JobStatus.FAILED)
        scheduler.queue.failed_job_registry.add(job, -1)
    with running(settings_for(tmp_path, images, redis_url=redis_server.url)) as app:
        text = " ".join(app.test_client().get("/", headers=BROWSER).text.split())
    assert "then press Start Training, or run <code>clickmask fine-tune 77</code>." in text
    assert "then run <code>clickmask propose 78</code>." in text


def test_proposals_are_told_as_they_are_served(
    tmp_path: Path, images: ImageServer, redis_server: RedisServer
):
    Ledger(redis_server.client()).meet(77)
    facts = {"offered": True, "reason": "118 clicks by hand"}
    settings = settings_for(tmp_path, images, redis_url=redis_server.url)
    registry, (network, card) = Registry(settings.home), packaged()
    version = registry.add("project-77", network, {**card, CARD_KEY: facts})
    remember(
        redis_server.client(),
        77,
        Outcome("promoted", "", metrics={CARD_KEY: {**facts, "version": version.name}}),
    )
    pages = []
    with running(settings) as app:
        for do in (registry.promote, lambda served: registry.rollback(served.line)):
            do(version)
            pages.append(app.test_client().get("/", headers=BROWSER).text)
    assert "proposals are offered: 118 clicks by hand" in pages[0]
    assert f"proposals are not offered: {version.name} is not served" in pages[1]


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


def test_clicks_refused_for_the_same_reason_are_told_once():
    first = {"time": "1", "reason": "image", "task": "4", "text": "gone"}
    last = {**first, "time": "2", "task": "5"}
    other = {"time": "0", "reason": "nothing_to_mark", "task": "4", "text": "only Alt"}
    joined, alone = refused([last, first, other])
    assert (joined.count, joined.tasks, joined.time) == (2, ["5", "4"], "2")
    assert "doctor" in joined.fix
    assert (alone.count, alone.tasks) == (1, ["4"])
    (unread,) = refused([{**other, "task": ""}])
    assert (unread.count, unread.tasks) == (1, [])
    assert refused([{**other, "reason": "of another version"}])[0].fix


def test_a_pointer_that_cannot_be_read_is_told(tmp_path: Path, images: ImageServer):
    settings = settings_for(tmp_path, images)
    pointer = tmp_path / "registry" / "base" / "current"
    pointer.unlink()
    pointer.mkdir()
    with running(settings, wait=False) as app:
        browser = app.test_client()
        until("the problem", lambda: browser.get("/ready").json["problems"])
        page = browser.get("/", headers=BROWSER)
    assert page.status_code == 200
    assert f"{pointer} cannot be used (Is a directory)" in page.text
