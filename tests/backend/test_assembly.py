"""The parts of a process: put together from the settings, and all ended."""

from __future__ import annotations

import threading
from pathlib import Path

from backend.assembly import Backend
from backend.web.app import create_app
from tests.backend.predict_bodies import ONE, click
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, regions, settings_for
from tests.waiting import PATIENCE_S


def test_what_a_backend_starts_ends_with_it(
    images: ImageServer, tmp_path: Path, redis_server: RedisServer
) -> None:
    before = set(threading.enumerate())
    backend = Backend(settings_for(tmp_path, images, redis_url=redis_server.url))
    backend.models.take(None, PATIENCE_S)
    backend.redis.write_behind(lambda client: client.set("noted", 1))
    backend.close()
    backend.close()  # once more does no harm
    assert redis_server.client().get("noted") == b"1", "what waits is written first"
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
    left = [t.name for t in set(threading.enumerate()) - before if t.is_alive() and not t.daemon]
    assert left == []


def test_the_observer_is_told_of_every_stage_in_order(images: ImageServer, tmp_path: Path) -> None:
    told: list[str] = []
    app = create_app(settings_for(tmp_path, images), lambda stage, seconds: told.append(stage))
    backend = app.extensions["clickmask"]
    try:
        backend.models.take(None, PATIENCE_S)
        assert regions(app.test_client(), click(ONE))
    finally:
        backend.close()
    assert told == ["image", "session", "predict", "clean", "encode"]


def test_the_model_that_is_loaded_is_counted(images: ImageServer, tmp_path: Path) -> None:
    backend = Backend(settings_for(tmp_path, images))
    version = backend.models.take(None, PATIENCE_S).version
    exposed = backend.metrics.exposition()
    backend.close()
    text = exposed if isinstance(exposed, str) else exposed.decode()
    assert [line for line in text.splitlines() if version in line and line.endswith(" 1.0")]
