"""What tests of several parts need."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.redis_server import Failover, RedisServer
from tests.s3_server import ObjectStore


@pytest.fixture
def object_store() -> Iterator[ObjectStore]:
    store = ObjectStore()
    yield store
    store.close()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A running Redis of the test's own."""
    folder = Path(tempfile.mkdtemp(prefix="cm"))  # pytest's folders are too long for a Unix socket
    server = RedisServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def failover() -> Iterator[Failover]:
    """Two Redis of the test's own under one name."""
    folder = Path(tempfile.mkdtemp(prefix="cm"))
    servers = Failover(folder)
    servers.start()
    yield servers
    servers.stop()
    shutil.rmtree(folder, ignore_errors=True)
