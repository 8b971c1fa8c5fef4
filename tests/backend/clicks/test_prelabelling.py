"""Where nobody has clicked: proposals within the wait, kept, computed ahead, and never in the way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from backend.clicks import prelabelling
from backend.images import fetch
from backend.label_studio.mask_regions import accepted
from backend.redis_store import PROPOSALS
from backend.settings import Settings
from model.versions.registry import Registry
from tests.backend.proposing_studio import CONFIG, DiscStudio
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import backend_of, running
from tests.fine_tune.proposals.disc_proposer import add_proposing
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def studio() -> Iterator[DiscStudio]:
    made = DiscStudio(range(100, 105))
    yield made
    made.close()


@pytest.fixture
def settings(studio: DiscStudio, tmp_path: Path, redis_server: RedisServer) -> Settings:
    add_proposing(Registry(tmp_path))
    return studio.settings(tmp_path, redis_url=redis_server.url)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    with running(settings) as made:
        assert backend_of(made).models.own(3, PATIENCE_S)
        yield made


def ask(app: Flask, studio: DiscStudio, *numbers: int, project: int = 3, **task: Any) -> list[Any]:
    """The predictions of some tasks, as Label Studio asks for them."""
    tasks = [{"id": n, "data": studio.tasks[n]["data"], "annotations": [], **task} for n in numbers]
    body = {
        "tasks": tasks,
        "project": f"{project}.1795333633",
        "label_config": CONFIG,
        "params": {"context": None},
    }
    answer = app.test_client().post("/predict", json=body)
    assert answer.status_code == 200 and answer.json is not None, answer.text
    return answer.json["results"]


@contextmanager
def held_up(studio: DiscStudio) -> Iterator[None]:
    """The image of task 100 comes no sooner than the end."""
    path, end = studio.tasks[100]["data"]["image"], threading.Event()
    image = studio.web.routes[path]
    studio.web.routes[path] = lambda handler: (end.wait(60), image(handler))
    try:
        yield
    finally:
        end.set()


def test_batch_predictions_answers_for_every_task(app: Flask, studio: DiscStudio) -> None:
    found = ask(app, studio, 100, 101)
    assert [len(accepted(one[0]["result"])) >= 4 for one in found] == [True, True]
    assert all(one[0]["model_version"] == backend_of(app).models.version_of(3) for one in found)


def test_an_annotated_task_is_left_alone(app: Flask, studio: DiscStudio) -> None:
    annotation = {"id": 1, "result": [], "completed_by": 1}
    assert ask(app, studio, 100, 101, annotations=[annotation]) == [[], []]


def test_who_opens_a_task_does_not_wait_and_finds_proposals_next_time(
    app: Flask, studio: DiscStudio, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer
) -> None:
    with held_up(studio):
        monkeypatch.setattr(prelabelling, "OPENED_S", 0.0)
        assert ask(app, studio, 100) == [[]]
        monkeypatch.setattr(prelabelling, "OPENED_S", PATIENCE_S)
    client = redis_server.client()
    # Of this task, and of the two that follow.
    until("proposals", lambda: len(client.keys(f"{PROPOSALS}*")) == 3)
    assert all(0 < client.ttl(key) <= 1800 for key in client.keys(f"{PROPOSALS}*"))
    before = studio.web.paths().count("/data/upload/3/100.png")
    ((prediction,),) = ask(app, studio, 100)
    assert len(accepted(prediction["result"])) >= 4
    assert studio.web.paths().count("/data/upload/3/100.png") == before
    assert "/data/upload/3/102.png" in studio.web.paths()


def test_a_project_whose_image_host_hangs_keeps_no_other_waiting(
    app: Flask, studio: DiscStudio, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_proposing(Registry(settings.home), project=5)
    until("the model", lambda: backend_of(app).models.own(5, 60))
    monkeypatch.setattr(prelabelling, "OPENED_S", 0.0)
    monkeypatch.setattr(fetch, "READ_S", PATIENCE_S)
    monkeypatch.setattr(fetch, "TOTAL_S", PATIENCE_S)
    over = threading.Event()
    for number in range(200, 202 + prelabelling.UNDER_WAY):
        studio.tasks[number] = {
            "id": number,
            "data": {"image": f"/data/upload/5/{number}.png"},
            "annotations": 1,
        }
        studio.web.routes[f"/data/upload/5/{number}.png"] = lambda _: over.wait(PATIENCE_S)
        assert ask(app, studio, number, project=5) == [[]]
    try:
        until("proposals", lambda: ask(app, studio, 100) != [[]])
        assert not [path for path in studio.web.paths() if path.endswith(("216.png", "217.png"))]
    finally:
        over.set()


def test_another_process_finds_them_too(app: Flask, studio: DiscStudio, settings: Settings) -> None:
    found = ask(app, studio, 103, 104)
    backend_of(app).redis.flush()
    with running(settings) as other:
        assert backend_of(other).models.own(3, PATIENCE_S)
        del studio.web.routes["/data/upload/3/103.png"], studio.web.routes["/data/upload/3/104.png"]
        assert ask(other, studio, 103, 104) == found


@pytest.mark.parametrize("most", [0, 2])
def test_with_other_settings_there_are_other_proposals(
    app: Flask, studio: DiscStudio, settings: Settings, most: int
) -> None:
    def regions(asked: Flask) -> list[int]:
        return [sum(len(accepted(one["result"])) for one in found) for found in ask(asked, studio, 103, 104)]

    before = regions(app)
    backend_of(app).redis.flush()
    with running(replace(settings, proposals=most)) as other:
        assert backend_of(other).models.own(3, PATIENCE_S)
        assert regions(other) == [most, most] < before


@pytest.mark.parametrize("seconds", [0.0, 1e-3])  # the time is over before the first task, or during it
def test_what_takes_too_long_is_said(
    app: Flask, studio: DiscStudio, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(prelabelling, "MANY_S", seconds)
    with held_up(studio):
        assert ask(app, studio, 100, 101) == [[], []]
    (told,) = backend_of(app).metrics.recent_refusals()
    assert told["reason"] == "proposals_late" and "clickmask propose 3" in told["text"]
    assert told["text"].startswith("2 of 2 tasks")


def test_an_image_that_is_gone_is_said(app: Flask, studio: DiscStudio) -> None:
    del studio.web.routes["/data/upload/3/100.png"]
    assert ask(app, studio, 100, 101)[0] == []
    (told,) = backend_of(app).metrics.recent_refusals()
    assert told["reason"] == "image"


def test_an_image_that_comes_back_is_looked_at(app: Flask, studio: DiscStudio) -> None:
    paths = [studio.tasks[number]["data"]["image"] for number in (100, 101)]
    body = {
        "tasks": [{"id": number, "data": {"pages": paths}} for number in (100, 101)],
        "project": "3.1795333633",
        "label_config": PAGES,
        "params": {"context": None},
    }

    def seen() -> list[set[str]]:
        answer = app.test_client().post("/predict", json=body)
        assert answer.json is not None, answer.text
        return [{r.to_name for r in accepted(found["result"])} for (found,) in answer.json["results"]]

    route = studio.web.routes.pop(paths[1])
    assert seen() == [{"page_0"}] * 2
    studio.web.routes[paths[1]] = route
    until("the other page", lambda: seen() == [{"page_0", "page_1"}] * 2)


def test_what_is_damaged_in_redis_is_computed_again(
    app: Flask, studio: DiscStudio, settings: Settings, redis_server: RedisServer
) -> None:
    found = ask(app, studio, 102, 103, 104)
    backend_of(app).redis.flush()
    client = redis_server.client()
    for key, text in zip(client.keys(f"{PROPOSALS}*"), ('{"result": [', "[]", '{"result": 3}'), strict=True):
        client.set(key, text)
    with running(settings) as other:
        assert backend_of(other).models.own(3, PATIENCE_S)
        assert ask(other, studio, 102, 103, 104) == found


PAGES = """<View><Repeater on="$pages" indexFlag="{{idx}}">
  <Image name="page_{{idx}}" value="$pages[{{idx}}]"/>
  <BrushLabels name="brush_{{idx}}" toName="page_{{idx}}"><Label value="Disc"/></BrushLabels>
</Repeater></View>"""


def test_a_task_whose_config_cannot_be_made_keeps_the_next_one_from_nothing(
    app: Flask, studio: DiscStudio, redis_server: RedisServer
) -> None:
    paths = [studio.tasks[number]["data"]["image"] for number in (100, 101, 102)]
    for number, pages in zip((100, 101, 102), (paths[:1], paths * 10_000, paths[2:]), strict=True):
        studio.tasks[number]["data"] = {"pages": pages}
    body = {
        "tasks": [{"id": 100, "data": {"pages": paths[:1]}}],
        "project": "3.1795333633",
        "label_config": PAGES,
    }
    app.test_client().post("/predict", json={**body, "params": {"context": None}})
    until("proposals of two tasks", lambda: len(redis_server.client().keys(f"{PROPOSALS}*")) == 2)
    assert paths[2] in studio.web.paths()


def test_every_task_of_a_batch_has_pages_of_its_own(app: Flask, studio: DiscStudio) -> None:
    paths = [studio.tasks[number]["data"]["image"] for number in (100, 101, 102)]
    pages = [paths[:1], paths[1:], [*paths * 10_000]]
    tasks = [{"id": 100 + number, "data": {"pages": own}} for number, own in enumerate(pages)]
    body = {"tasks": tasks, "project": "3.1795333633", "label_config": PAGES, "params": {"context": None}}
    answer = app.test_client().post("/predict", json=body)
    assert answer.json is not None, answer.text
    *found, too_many = answer.json["results"]
    seen = [{region.to_name for region in accepted(prediction["result"])} for (prediction,) in found]
    assert seen == [{"page_0"}, {"page_0", "page_1"}]
    assert too_many == []
    assert [told["reason"] for told in backend_of(app).metrics.recent_refusals()] == ["label_config"]
