"""The current code works on a home and a Redis that version 0.1 left (`tests/data`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from backend.clicks import target
from tests import commands
from tests.golden.bodies import keypoint, predict
from tests.golden.collect import Place, place
from tests.golden.entry import DATA, EmbeddedRedis, run, serving
from tests.golden.recorder import area
from tests.golden.redis_dump import restore
from tests.waiting import PATIENCE_S, until

BASE, FOREIGN = "base-1-4cd9d334", "project-4-1-4cd9d334"
OLDER, NEWER = "project-3-1-1b06e669", "project-3-2-d26efb33"
SAVED = json.loads((DATA / "redis-0.1.json").read_text())
ANNOTATOR = "ann@example.com"


@pytest.fixture
def old() -> Iterator[Place]:
    """The home, the Redis and Label Studio's project 3, as they were."""
    with place() as here:
        restore(here.redis.client(), SAVED)
        for number in range(1, 5):
            data = (DATA / f"images/{number}.png").read_bytes()
            here.studio.answers[f"/data/upload/3/{number}.png"] = 200, data
        here.studio.tasks[3] = json.loads((DATA / "project-3.json").read_text())
        yield here


@pytest.fixture
def client(old: Place) -> Iterator[FlaskClient]:
    """The web application there, with project 3's own model loaded."""
    with serving(old.variables(redis=True)) as app:
        client = app.test_client()
        client.post("/setup", json={"project": "3.1700000000"})
        until("project 3's model", lambda: "project-3" in client.get("/ready").json["models"])
        yield client


def test_versions_are_listed_and_served(old: Place, client: FlaskClient) -> None:
    assert client.get("/versions").json == {"versions": sorted([BASE, OLDER, NEWER, FOREIGN])}
    assert client.get("/ready").json["models"]["project-3"]["version"] == NEWER
    listed = json.loads(run(old.variables(), "models", "list", "--json").stdout)
    current = [entry["version"] for entry in listed["versions"] if entry["current"]]
    assert current == [BASE, NEWER, FOREIGN]
    assert listed["broken"] == {}
    for version in (BASE, OLDER, NEWER, FOREIGN):
        assert "weights intact" in run(old.variables(), "models", "show", version).stdout
    assert json.loads(run(old.variables(), "models", "rollback", "project-3", "--json").stdout) == {
        "promoted": OLDER,
        "before": NEWER,
    }


def test_the_ledger_counts_as_before(old: Place, client: FlaskClient) -> None:
    page = client.get("/", headers={"Accept": "text/html"}).text
    text = " ".join(re.sub("<[^>]*>", " ", page).split())
    assert "project 3 6 accepted annotations of 7 1 not learned yet" in text
    assert "project 7 0 accepted annotations of 0 0 not learned yet" in text
    assert text.count(NEWER) >= 2  # served, and the outcome of the job that made it
    done = run(old.variables(redis=True), "fine-tune", "3", "--sync", "--json")
    assert json.loads(done.stdout) == {
        "taken over": 0,
        "deleted": 0,
        "accepted": 6,
        "new since the last job": 1,
    }


def test_clicks_of_an_object_in_progress_go_on(client: FlaskClient) -> None:
    draft = {"id": 900, "user": ANNOTATOR, "result": []}
    clicks = [keypoint("f1", 25, 22), keypoint("f2", 28, 25), keypoint("f3", 20, 15, False)]
    (region,) = _click(client, 2, *clicks, drafts=[draft])
    assert region["meta"]["model_version"] == NEWER
    assert _lookups(client) == {"replay": 1}  # its maps do not say what computed them
    assert 0 < area(region) < 1690


def test_a_single_click_goes_on_with_the_last_object(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "FRESH_S", PATIENCE_S)  # until the models are loaded
    key = 'clickmask:recent:[3, 4, "", "image", null, "Cat"]'
    last = json.loads(SAVED["keys"][key]["value"])
    (region,) = _click(client, 4, keypoint("d3", 20, 72, False))
    assert region["id"] == last["region_id"]
    assert region["meta"]["prompts"] == ["d1", "d2", "d3"]
    assert len(region["meta"]["points"]) == 3


def test_an_accepted_mask_is_corrected(old: Place, client: FlaskClient) -> None:
    accepted = old.studio.tasks[3][1]["annotations"][0]
    (region,) = _click(client, 2, keypoint("g1", 75, 25, False), annotations=[accepted])
    assert region["id"] == accepted["result"][0]["id"]
    assert area(region) < area(accepted["result"][0])


def test_quality_is_told_from_the_old_clicks(old: Place) -> None:
    done = run(old.variables(redis=True), "review", "3", "--json")
    assert done.exit_code == 0, done.output
    before, now = json.loads((DATA / "review-3.json").read_text()), json.loads(done.stdout)
    key = {"task": 0, "annotation": 0, "region": "", "label": "", "annotator": ""}
    assert [{k: row[k] for k in key} for row in now] == [{k: row[k] for k in key} for row in before]
    # The predictor was trained anew since, so only nearly the same.
    assert [row["iou"] for row in now] == pytest.approx([row["iou"] for row in before], abs=2e-2)
    assert [row["reasons"] for row in now] == [row["reasons"] for row in before]


def test_published_quality_is_kept_up_to_date(old: Place, client: FlaskClient) -> None:
    """A webhook of a project that was published with 0.1 rates the task again."""
    redis_client = old.redis.client()
    redis_client.hset(
        "clickmask:quality:3", "11/" + _region_of(old), '{"task": 1, "annotator": "a", "iou": 0.1}'
    )
    annotation = {"id": 11, "task": 1, "updated_at": "2026-11-20T12:00:00.000000Z"}
    event = {"action": "ANNOTATION_UPDATED", "project": {"id": 3}, "annotation": annotation}
    assert client.post("/webhook", json=event).json == {"taken": True}
    until("the new number", lambda: _published(redis_client, old) > 0.5)


def test_jobs_that_wait_are_listed_and_run(old: Place) -> None:
    """They name functions by the modules of 0.1."""
    assert _states(old) == {3: None, 5: "queued", 6: "scheduled", 8: "finished"}
    redis_client = old.redis.client()
    assert redis_client.llen("rq:queue:clickmask") == 2
    redis_client.delete("clickmask:reconciliation:states")  # for the second job to write again
    # In a process of its own: a worker keeps the signals of its process.
    done = commands.run(old.variables(redis=True, CLICKMASK_SYNC_S="0"), "worker", "--burst")
    assert done.returncode == 0, done.stderr
    assert _states(old) == {3: None, 5: "finished", 6: "scheduled", 8: "finished"}
    assert redis_client.llen("rq:queue:clickmask") == 0
    assert list(redis_client.scan_iter("rq:failed:*")) == []
    assert {b"3", b"7"} <= redis_client.hgetall("clickmask:reconciliation:states").keys()


def test_jobs_are_cancelled(old: Place) -> None:
    rows = json.loads(run(old.variables(redis=True), "jobs", "list", "--json").stdout)
    waiting = next(row["id"] for row in rows if row["project"] == 6)
    assert run(old.variables(redis=True), "jobs", "cancel", waiting).stdout == f"{waiting}: cancelled\n"


def test_the_redis_of_clickmask_up_opens_its_file(old: Place) -> None:
    assert (old.home / "redis/appendonly.aof").is_file()
    with EmbeddedRedis(old.home) as url:
        kept = redis.Redis.from_url(url)
        assert kept.hlen("clickmask:ledger:3:annotations") == 8
        done = run(old.variables(CLICKMASK_REDIS_URL=url), "fine-tune", "3", "--sync", "--json")
    assert json.loads(done.stdout)["new since the last job"] == 1


def _click(client: FlaskClient, task: int, *result: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    data = {"image": f"/data/upload/3/{task}.png"}
    answer = client.post("/predict", json=predict(*result, task=task, project=3, data=data, **more))
    assert answer.status_code == 200, answer.text
    return answer.json["results"][0]["result"]


def _lookups(client: FlaskClient) -> dict[str, int]:
    """Where the maps of earlier clicks were found."""
    lines = [line for line in client.get("/metrics").text.splitlines() if "lookups_total{" in line]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}


def _region_of(old: Place) -> str:
    return str(old.studio.tasks[3][0]["annotations"][0]["result"][0]["id"])


def _published(redis_client: Any, old: Place) -> float:
    return float(json.loads(redis_client.hget("clickmask:quality:3", "11/" + _region_of(old)))["iou"])


def _states(old: Place) -> dict[int, str | None]:
    rows = json.loads(run(old.variables(redis=True), "jobs", "list", "--json").stdout)
    states = {row["project"]: row["status"] for row in rows}
    return {project: states.get(project) for project in (3, 5, 6, 8)}
