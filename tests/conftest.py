"""What tests of several parts need."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from backend.redis_store import PAUSE_S, OptionalRedis
from model.versions.registry import Registry
from tests.backend.redis_server import Failover, RedisServer
from tests.s3_server import ObjectStore

# The same examples every time, on a machine of any speed.
settings.register_profile(
    "tests", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

# A click waits a quarter of a second for Redis, which a busy machine may let wait for longer.
OptionalRedis.__init__.__defaults__ = (60.0, PAUSE_S)


@pytest.fixture(autouse=True)
def handlers_of_signals() -> Iterator[None]:
    """Fail a test that leaves handlers of its own in this process: else it would be tests after it that fail."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    left = [signal.signal(number, handler) for number, handler in zip(numbers, before, strict=True)]
    assert left == before, "handlers of signals were left behind"


@pytest.fixture
def object_store() -> Iterator[ObjectStore]:
    store = ObjectStore()
    yield store
    store.close()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry in a folder of the test's own, as yet without a version."""
    return Registry(tmp_path)


@pytest.fixture
def redis_folder() -> Iterator[Path]:
    """A folder for servers, since pytest's are too long for a Unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="cm"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_server(redis_folder: Path) -> Iterator[RedisServer]:
    """A running Redis of the test's own."""
    server = RedisServer(redis_folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def failover(redis_folder: Path) -> Iterator[Failover]:
    """Two Redis of the test's own under one name."""
    servers = Failover(redis_folder)
    servers.start()
    yield servers
    servers.stop()
