import dataclasses
from typing import Any

from backend.clicks.last_object import LastObject, LastObjects
from backend.clicks.map_cache import CacheKey
from backend.label_studio.predict_request import PredictRequest, Prompt, Task
from backend.label_studio.prompt_regions import Box
from backend.redis_store import LAST_OBJECTS, OptionalRedis
from model.click import Click
from tests.backend.predict_bodies import keypoint, predict
from tests.backend.redis_server import RedisServer

LAST = LastObject(
    region_id="cm000000000001",
    key=CacheKey("v", "i", ("Cat",), "box", (Click(1, 2),)),
    clicks=(Click(3.5, 4.5, positive=False),),
    prompts=("k1",),
    together=1,
    size=(10, 20),
    at=5.0,
)


def asked(label: str = "Cat", **task: Any) -> tuple[Task, Prompt]:
    request = PredictRequest.parse(predict(keypoint("k", 10, 10, label=label), **task))
    assert request.context is not None
    return request.tasks[0], request.context[0]


def by(user: str) -> dict[str, Any]:
    return {"drafts": [{"id": 1, "user": user, "result": []}]}


def test_json_keeps_everything() -> None:
    assert LastObject.parse(LAST.dump()) == LAST
    named = dataclasses.replace(LAST, named=True, drafted="2026")
    assert LastObject.parse(named.dump()) == named
    boxed = dataclasses.replace(LAST, box=Box(1.0, 2.5, 30.0, 40.0), box_id="r1")
    assert LastObject.parse(boxed.dump()) == boxed


def test_what_version_0_1_wrote_is_understood() -> None:
    text = (
        '{"region_id": "cm000000000001", "chain": {"version": "v", "image": "i", "labels": ["Cat"], "start": "box", '
        '"base": [{"x": 1, "y": 2, "positive": true}]}, "clicks": [{"x": 3.5, "y": 4.5, "positive": false}], '
        '"prompts": ["k1"], "together": 1, "size": [10, 20], "at": 5.0}'
    )
    assert LastObject.parse(text) == LAST


def test_objects_are_told_apart() -> None:
    memory = LastObjects(OptionalRedis(None), ttl_s=60)
    memory.remember(3, *asked(), LAST)
    assert memory.recall(3, *asked()) == LAST
    for project, task, prompt in ((4, *asked()), (3, *asked("Dog")), (3, *asked(id=8))):
        assert memory.recall(project, task, prompt) is None


def test_annotators_are_told_apart_once_label_studio_names_them() -> None:
    memory = LastObjects(OptionalRedis(None), ttl_s=60)
    memory.remember(3, *asked(**by("a@example.com")), LAST)
    assert memory.recall(3, *asked(**by("a@example.com"))) == LAST
    assert memory.recall(3, *asked(**by("b@example.com"))) is None
    assert memory.recall(3, *asked()) is None


def test_the_first_autosave_does_not_make_it_forget() -> None:
    memory = LastObjects(OptionalRedis(None), ttl_s=60)
    memory.remember(3, *asked(), LAST)
    assert memory.recall(3, *asked(**by("a@example.com"))) == LAST


def test_another_process_knows_it_through_redis(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    LastObjects(store, ttl_s=60).remember(3, *asked(), LAST)
    store.flush()
    assert LastObjects(OptionalRedis(redis_server.url), ttl_s=60).recall(3, *asked()) == LAST


def test_nonsense_in_redis_is_nothing(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    LastObjects(store, ttl_s=60).remember(3, *asked(), LAST)
    store.flush()
    client = redis_server.client()
    (key,) = client.keys(LAST_OBJECTS + "*")
    for nonsense in (b"[1]", b"{", b"\xff", LAST.dump().replace("10, 20", "").encode()):
        client.set(key, nonsense)
        assert LastObjects(OptionalRedis(redis_server.url), ttl_s=60).recall(3, *asked()) is None


def test_fields_of_a_later_version_are_left_out(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    LastObjects(store, ttl_s=60).remember(3, *asked(), LAST)
    store.flush()
    client = redis_server.client()
    (key,) = client.keys(LAST_OBJECTS + "*")
    client.set(key, LAST.dump().replace('"x"', '"z": 5, "x"').replace('"at"', '"more": [1], "at"'))
    assert LastObjects(OptionalRedis(redis_server.url), ttl_s=60).recall(3, *asked()) == LAST
