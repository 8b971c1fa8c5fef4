"""One real Label Studio, Redis, backend and browser for all end-to-end tests of a run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import requests

from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import connect
from backend.operations.embedded_redis import EmbeddedRedis
from backend.operations.label_studio_server import LabelStudioServer
from backend.operations.stack import wait_until_ready
from backend.operations.supervisor import end, free_port, tail
from backend.settings import Settings
from model.evaluation.clicker import next_click
from tests import commands
from tests.commands import ROOT
from tests.e2e.editor import BROWSER_ARGS, Editor
from tests.e2e.label_configs import separate_rows
from tests.e2e.photos import iou, two_bodies
from tests.label_studio_calls import mask_of

CHROMIUM = os.environ.get("CLICKMASK_CHROMIUM", "/usr/bin/chromium")
LABEL_STUDIO = Path(os.environ.get("CLICKMASK_LABEL_STUDIO", ROOT / ".venv-labelstudio/bin/label-studio"))
LABELS = ("Cat", "Dog")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of a run waits for Label Studio to make its database."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))


def new_studio(folder: Path, switches: Mapping[str, str] | None = None) -> LabelStudioServer:
    """A Label Studio that is not started yet, in a copy of a folder whose database was made by an earlier run.

    Making the database takes a minute or more; the folder is kept in .cache, one for each version.
    """
    if not LABEL_STUDIO.exists():
        pytest.skip(f"no Label Studio at {LABEL_STUDIO}: `make setup` installs it")
    metadata = LABEL_STUDIO.parents[1].glob("lib/python*/site-packages/label_studio-*.dist-info")
    template = ROOT / ".cache" / next((path.stem for path in metadata), "label-studio")
    if not template.exists():
        template.parent.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=template.parent))
        with LabelStudioServer(LABEL_STUDIO, fresh) as server:
            server.start()
        with contextlib.suppress(OSError):  # another run was quicker
            fresh.rename(template)
    shutil.copytree(template, folder, dirs_exist_ok=True)
    return LabelStudioServer(LABEL_STUDIO, folder, switches=switches)


class Backend:
    """The backend under gunicorn, as `clickmask serve` runs it."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "backend.log"
        self.environment = {**os.environ, **environment, "CLICKMASK_PORT": str(self.port)}
        self.settings = Settings.from_env(self.environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until the model is loaded."""
        self._process = commands.start(self.environment, self.log, "serve")
        wait_until_ready(self._check, self.url, time.sleep)

    def _check(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, f"the backend ended:\n{tail(self.log)}"

    def stop(self) -> None:
        """End it as an operator would, and wait."""
        if self._process is not None:
            end(self._process, patience_s=60)
            self._process = None


@contextlib.contextmanager
def backend_at(home: Path, studio_url: str, token: str, **environment: str) -> Iterator[tuple[Backend, str]]:
    """Run a backend with a Redis of its own while the context lasts; yields it and the address of Redis."""
    with EmbeddedRedis(home) as redis_url:
        own = {
            "CLICKMASK_HOME": str(home),
            "CLICKMASK_REDIS_URL": redis_url,
            "LABEL_STUDIO_URL": studio_url,
            "LABEL_STUDIO_API_KEY": token,
            "CLICKMASK_DEADLINE_S": "100",  # on a busy machine a click takes long
        }
        backend = Backend(home, {**own, **environment})
        backend.start()
        try:
            yield backend, redis_url
        finally:
            backend.stop()


class Workplace:
    """What a test works with: the client, the editor and the backend behind them."""

    def __init__(self, client: LabelStudio, editor: Editor, backend: Backend, redis_url: str) -> None:
        self.client, self.editor, self.backend = client, editor, backend
        self.redis = redis.Redis.from_url(redis_url)
        self._task = 0
        self._calls: list[Any] = []
        editor.page.on("response", self._remember)

    def _remember(self, response: Any) -> None:
        if response.url.endswith("/interactive-annotating"):
            self._calls.append(response)

    def project(self, photo: bytes, output: str = "brush", config: str = "") -> tuple[int, int]:
        """A new project with one photo and the backend connected; returns the ids of project and task."""
        files = [("file", ("photo.jpg", photo))]
        return self._project(config or separate_rows(LABELS, output), files=files)

    def project_of(self, data: dict[str, Any], config: str) -> tuple[int, int]:
        """A new project with one task of the given data, as `project`."""
        return self._project(config, json=[data])

    def _project(self, config: str, **content: Any) -> tuple[int, int]:
        project = self.client.create_project(title="e2e", label_config=config)["id"]
        self.client.call("POST", f"/api/projects/{project}/import", **content)
        connect(self.client, project, self.backend.url, self.backend.settings)
        (task,) = self.client.tasks(project)
        self._task = task["id"]
        return project, self._task

    def annotations(self, task: int) -> list[dict[str, Any]]:
        """The saved annotations of a task, read through the API."""
        return self.client.task(task)["annotations"]

    def submitted(self, task: int) -> dict[str, Any]:
        """Submit; returns the only annotation of a task as it is saved."""
        self.editor.submit()
        (annotation,) = self.annotations(task)
        return annotation

    def last_prompts(self) -> list[dict[str, Any]]:
        """The prompts of the browser's last request."""
        return self._context()["result"]

    def _context(self) -> dict[str, Any]:
        return json.loads(self._calls[-1].request.post_data)["context"]

    def suggestion(self, truth: np.ndarray) -> np.ndarray:
        """The mask of the last answer, of the size of `truth`; empty where there was none."""
        return mask_of(self._calls[-1].json()["data"]["result"], truth.shape)

    def refine(self, truth: np.ndarray, good: float, limit: int = 8) -> None:
        """Click what is wrong in the last answer, as an annotator would, until it is good enough."""
        height, width = truth.shape
        for _ in range(limit):
            mask = self.suggestion(truth)
            click = None if iou(mask, truth) > good else next_click(truth, mask, [])
            if click is None:
                return
            key = "Control" if click.positive else "Control+Alt"  # Ctrl: also where a mask is
            self.editor.click(click.x / width, click.y / height, key=key)
        raise AssertionError(f"IoU {iou(self.suggestion(truth), truth):.2f} after {limit} more clicks")

    def last_body(self) -> dict[str, Any]:
        """The last click as the backend receives it."""
        task = self.client.task(self._task)
        config = self.client.project(task["project"])["label_config"]
        params = {"login": None, "password": None, "context": self._context()}
        return {"tasks": [task], "project": f"{task['project']}.1", "label_config": config, "params": params}

    def predict(self, body: dict[str, Any]) -> bytes:
        """Ask the backend directly; returns the bytes of its answer."""
        answer = requests.post(f"{self.backend.url}/predict", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["results"][0]["result"], "no mask"
        return answer.content

    def restart_backend(self, flush: bool = False) -> None:
        """End the backend and start it again; with `flush` Redis forgets everything, too."""
        self.backend.stop()
        if flush:
            self.redis.flushall()
        self.backend.start()


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    """A real Label Studio."""
    with new_studio(tmp_path_factory.mktemp("label-studio")) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, a `playwright.sync_api.Browser`."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make setup`")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}: install Debian's chromium or set CLICKMASK_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def editor(studio: LabelStudioServer, browser: Any) -> Iterator[Editor]:
    """One annotator's browser window."""
    window = Editor(browser, studio.url, studio.email, studio.password)
    yield window
    window.close()


@pytest.fixture(scope="session")
def workplace(
    studio: LabelStudioServer, editor: Editor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workplace]:
    """Everything connected."""
    home = tmp_path_factory.mktemp("clickmask")
    with backend_at(home, studio.url, studio.token) as (backend, redis_url):
        yield Workplace(LabelStudio(backend.settings), editor, backend, redis_url)


@pytest.fixture(scope="session")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture with a red and a yellow body, and their masks."""
    return two_bodies()
