"""Nobody sees the traces of anybody else: not in threads, not after a restart, not without Redis."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.clicks.map_cache import MapCache
from tests.backend.predict_bodies import keypoint, predict
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, backend_of, running, settings_for
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]

FRESH = """
import json, sys
from pathlib import Path
from backend.settings import Settings
from tests.backend.running_app import running
home, url, redis = sys.argv[1:4]
known = {"home": Path(home), "label_studio_url": url, "redis_url": redis or None, "device": "cpu", "threads": 1}
settings = Settings(**known, deadline_s=100)
with running(settings) as app:
    for line in sys.stdin:
        answer = app.test_client().post("/predict", json=json.loads(line))
        print("answer", answer.text.strip())
"""


@pytest.fixture(scope="module")
def home(images: ImageServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    settings_for(home, images)  # installs the model
    return home


def story(annotator: str, task: int, clicks: int = 5) -> list[dict[str, Any]]:
    """The requests of one annotator on one task, a click more each time."""
    rng = random.Random(f"{annotator}-{task}")
    points = [
        keypoint(f"{annotator}{number}", rng.uniform(10, 90), rng.uniform(10, 90), number % 3 != 2)
        for number in range(clicks)
    ]
    draft = {"id": 1, "user": f"{annotator}@example.com", "result": []}
    image = {"image": f"/data/upload/1/{task}.png"}
    return [predict(*points[: k + 1], id=task, data=image, drafts=[draft]) for k in range(clicks)]


STORIES = {(annotator, task): story(annotator, task) for annotator in "ab" for task in (1, 2)}


def alone(home: Path, images: ImageServer, bodies: list[dict[str, Any]]) -> list[str]:
    with running(settings_for(home, images)) as app:
        return [app.test_client().post("/predict", json=body).text for body in bodies]


def fresh_process(
    home: Path, images: ImageServer, bodies: list[dict[str, Any]], redis: str = ""
) -> list[str]:
    process = subprocess.run(
        [sys.executable, "-c", FRESH, str(home), images.url, redis],
        input="\n".join(json.dumps(body) for body in bodies),
        cwd=ROOT,
        # torch sums in another order with another number of threads
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = process.stdout.splitlines()
    return [line.removeprefix("answer ") + "\n" for line in lines if line.startswith("answer ")]


def test_eight_threads_get_what_single_users_get(home: Path, images: ImageServer) -> None:
    expected = {key: alone(home, images, bodies) for key, bodies in STORIES.items()}
    answers: dict[int, tuple[Any, list[str]]] = {}
    with running(settings_for(home, images)) as app:

        def work(number: int) -> None:
            key = list(STORIES)[number % len(STORIES)]
            client = app.test_client()
            answers[number] = key, [client.post("/predict", json=body).text for body in STORIES[key]]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert len(answers) == 8
    for key, texts in answers.values():
        assert texts == expected[key]
    assert len({text for texts in expected.values() for text in texts}) == 20  # and they differ


def test_a_fresh_process_answers_the_last_click_as_a_warm_one(home: Path, images: ImageServer) -> None:
    bodies = STORIES["a", 1]
    warm = alone(home, images, bodies)
    assert fresh_process(home, images, bodies[-1:]) == warm[-1:]


def test_a_fresh_process_that_finds_the_sessions_in_redis_answers_the_same(
    home: Path, images: ImageServer, redis_server: RedisServer
) -> None:
    bodies = STORIES["a", 1]
    with running(settings_for(home, images, redis_url=redis_server.url)) as app:
        warm = [app.test_client().post("/predict", json=body).text for body in bodies]
        backend_of(app).redis.flush()
    assert len(redis_server.client().keys("clickmask:session:*")) == len(bodies)
    assert fresh_process(home, images, bodies[-1:], redis_server.url) == warm[-1:]


def test_every_prefix_is_a_hit_and_a_moved_click_is_another_story(
    home: Path, images: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = STORIES["b", 2]
    with running(settings_for(home, images)) as app:
        client = app.test_client()
        warm = [client.post("/predict", json=body).text for body in bodies]
        engine = backend_of(app).models.take(None, 1).predictor.engine
        passes, real = [], engine.run
        monkeypatch.setattr(engine, "run", lambda *args: passes.append(1) or real(*args))
        assert [client.post("/predict", json=body).text for body in reversed(bodies)] == warm[::-1]
        assert not passes  # deleting clicks one by one costs nothing
        moved = json.loads(json.dumps(bodies[-1]))
        moved["params"]["context"]["result"][0]["value"]["x"] += 1
        assert client.post("/predict", json=moved).text != warm[-1]
        assert len(passes) >= len(bodies)  # all of it is played again


def test_forgetting_everything_after_each_click_changes_nothing(
    home: Path, images: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = STORIES["b", 1]
    warm = alone(home, images, bodies)
    monkeypatch.setattr(MapCache, "get", lambda *_: None)
    assert alone(home, images, bodies) == warm
