"""A project in miniature, a home whose workers learn from it, and a worker that waits for jobs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from fine_tune.project.scheduler import QUEUE
from tests.backend.annotated_project import annotated
from tests.backend.http_server import Web
from tests.backend.redis_server import RedisServer
from tests.backend.worker_home import COUNT, IMPATIENT, WorkerHome
from tests.commands import ROOT


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


@pytest.fixture
def queue(redis_server: RedisServer) -> Queue:
    return Queue(QUEUE, connection=redis_server.client(), serializer=JSONSerializer)


@pytest.fixture
def running(redis_server: RedisServer, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-c", IMPATIENT, redis_server.url]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    yield process
    process.kill()
    process.wait()
