"""A project in miniature, and a home whose workers learn from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.annotated_project import annotated
from tests.backend.http_server import Web
from tests.backend.redis_server import RedisServer
from tests.backend.worker_home import COUNT, WorkerHome


@pytest.fixture
def project() -> Iterator[Web]:
    web = annotated(COUNT)
    yield web
    web.close()


@pytest.fixture
def place(tmp_path: Path, redis_server: RedisServer, project: Web) -> Iterator[WorkerHome]:
    found = WorkerHome(tmp_path, redis_server, project)
    yield found
    found.close()
