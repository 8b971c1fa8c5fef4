"""A home where a job was promoted, and jobs that share a ledger."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fine_tune.proposals import learning
from model.versions.registry import Registry
from tests.backend.redis_server import RedisServer
from tests.fine_tune.project.shape_jobs import COUNT, Jobs, setup
from tests.fine_tune.shape_project import Shapes, base


@pytest.fixture(scope="session", autouse=True)
def short_heads() -> Iterator[None]:
    """What heads for proposals learn is on trial elsewhere: here they only have to be trained, in few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "STEPS", 3)
        yield


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, object]]:
    """A home where one job has been promoted, and that job's outcome."""
    home = tmp_path_factory.mktemp("home")
    base(Registry(home))
    folder = Path(tempfile.mkdtemp(prefix="cm"))
    server = RedisServer(folder)
    server.start()
    outcome = Jobs(server.client()).run(Shapes(COUNT), setup(home, 60))
    yield home, outcome
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def home(learned, tmp_path: Path) -> Path:
    """A copy of that home."""
    shutil.copytree(learned[0], tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def jobs(redis_server: RedisServer) -> Jobs:
    return Jobs(redis_server.client())
