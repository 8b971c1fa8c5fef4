"""What several tests of the backend need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.settings import Settings
from model.versions.registry import Registry
from tests.backend.http_server import Web
from tests.backend.proposing_studio import DiscStudio
from tests.backend.published_models import add
from tests.backend.running_app import ImageServer, running, settings_for


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may need one, which would be asked for the names that tests invent."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def images() -> Iterator[ImageServer]:
    server = ImageServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def settings(images: ImageServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_for(tmp_path_factory.mktemp("home"), images, max_body_mb=1)


@pytest.fixture(scope="module")
def app(settings: Settings) -> Iterator[Flask]:
    with running(settings) as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server whose answers the test writes."""
    server = Web()
    yield server
    server.close()


@pytest.fixture
def elsewhere() -> Iterator[Web]:
    """Another one."""
    server = Web()
    yield server
    server.close()


@pytest.fixture
def home(registry: Registry) -> Path:
    """A home with a base model."""
    add(registry)
    return registry.root.parent


@pytest.fixture
def studio() -> Iterator[DiscStudio]:
    """A Label Studio with a project whose tasks 100 and 101 show discs."""
    made = DiscStudio([100, 101])
    yield made
    made.close()
