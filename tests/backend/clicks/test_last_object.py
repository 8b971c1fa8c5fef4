from typing import Any

from backend.clicks.last_object import PREFIX, LastObject, LastObjects, annotator
from backend.clicks.map_cache import CacheKey
from backend.label_studio.predict_request import PredictRequest, Prompt, Task
from backend.redis_store import OptionalRedis
from model.click import Click
from tests.backend.predict_bodies import keypoint, predict
from tests.backend.redis_server import RedisServer

RECENT = LastObject(
    region_id="cm000000000001",
    chain=CacheKey("v", "i", ("Cat",), "box", (Click(1, 2),)),
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
    assert LastObject.parse(RECENT.dump()) == RECENT


def test_objects_are_told_apart() -> None:
    memory = LastObjects(OptionalRedis(None), ttl_s=60)
    memory.remember(3, *asked(), RECENT)
    assert memory.recall(3, *asked()) == RECENT
    for project, task, prompt in ((4, *asked()), (3, *asked("Dog")), (3, *asked(id=8))):
        assert memory.recall(project, task, prompt) is None


def test_annotators_are_told_apart_once_label_studio_names_them() -> None:
    memory = LastObjects(OptionalRedis(None), ttl_s=60)
    memory.remember(3, *asked(**by("a@example.com")), RECENT)
    assert memory.recall(3, *asked(**by("a@example.com"))) == RECENT
    assert memory.recall(3, *asked(**by("b@example.com"))) is None
    assert memory.recall(3, *asked()) is None


def test_the_first_autosave_does_not_make_it_forget() -> None:
    memory = LastObjects(OptionalRedis(None), ttl_s=60)
    memory.remember(3, *asked(), RECENT)
    assert memory.recall(3, *asked(**by("a@example.com"))) == RECENT


def test_another_process_knows_it_through_redis(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    LastObjects(store, ttl_s=60).remember(3, *asked(), RECENT)
    store.flush()
    assert LastObjects(OptionalRedis(redis_server.url), ttl_s=60).recall(3, *asked()) == RECENT


def test_nonsense_in_redis_is_nothing(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    LastObjects(store, ttl_s=60).remember(3, *asked(), RECENT)
    store.flush()
    client = redis_server.client()
    for key in client.keys(PREFIX + "*"):
        client.set(key, b"[1]")
    assert LastObjects(OptionalRedis(redis_server.url), ttl_s=60).recall(3, *asked()) is None


def test_the_annotator_is_named_by_drafts_only() -> None:
    assert annotator(asked(**by("a@example.com"))[0]) == "a@example.com"
    assert annotator(asked()[0]) == ""
