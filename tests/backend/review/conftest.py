"""A project to review, with the events of its clicks in a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.label_studio.client import LabelStudio
from backend.redis_store import OptionalRedis
from backend.review.click_log import FIELD, ClickLog
from backend.review.project_review import ProjectReview
from backend.settings import Settings
from tests.backend.redis_server import RedisServer
from tests.backend.reviewed_studio import Studio, doubtful, sure, tasks


@pytest.fixture
def studio() -> Iterator[Studio]:
    studio = Studio(tasks())
    yield studio
    studio.close()


@pytest.fixture
def store(redis_server: RedisServer) -> OptionalRedis:
    store = OptionalRedis(redis_server.url)
    for event in [*sure([("a",), ("a", "b")]), *doubtful([("c",), ("c", "d")], task=8)]:
        store.client().xadd("clickmask:trace:3", {FIELD: event.to_json()})
    return store


@pytest.fixture
def review(studio: Studio, store: OptionalRedis, tmp_path: Path) -> ProjectReview:
    settings = Settings(label_studio_url=studio.web.url, label_studio_api_key="a" * 40)
    return ProjectReview(LabelStudio(settings), ClickLog(store, 90), tmp_path, 3)
