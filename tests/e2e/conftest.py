"""One real Label Studio, Redis, backend and browser for all end-to-end tests of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from backend.embedded import EmbeddedRedis
from backend.labelstudio import LabelStudio
from backend.labelstudio_server import LabelStudioServer, free_port
from backend.settings import Settings
from tests.e2e.editor import BROWSER_ARGS, Editor

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CLICKMASK_CHROMIUM", "/usr/bin/chromium")
LABEL_STUDIO = Path(os.environ.get("CLICKMASK_LABEL_STUDIO", ROOT / ".venv-labelstudio/bin/label-studio"))
LABELS = ("Cat", "Dog")


def label_config(output: str = "BrushLabels") -> str:
    """Label Studio's config as the README recommends it, with the given output control."""
    labels = "".join(f'<Label value="{label}"/>' for label in LABELS)
    return (
        '<View><Image name="image" value="$image" zoom="true" zoomControl="true"/>'
        f'<{output} name="out" toName="image" smart="false">{labels}</{output}>'
        f'<KeyPointLabels name="kp" toName="image" smart="true" smartOnly="true">{labels}</KeyPointLabels>'
        f'<RectangleLabels name="rect" toName="image" smart="true">{labels}</RectangleLabels></View>'
    )


class Backend:
    """The backend under gunicorn, as `clickmask serve` runs it."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "backend.log"
        self.environment = {**os.environ, **environment, "CLICKMASK_PORT": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until the model is loaded."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "backend.cli", "serve"]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        limit = time.monotonic() + 180
        while time.monotonic() < limit:
            assert self._process.poll() is None, f"the backend ended:\n{self.log.read_text()[-3000:]}"
            try:
                if requests.get(f"{self.url}/ready", timeout=2).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.2)
        raise AssertionError(f"the backend was not ready in time:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End it as an operator would, and wait."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(60)
            self._process = None


class Bench:
    """What a test works with: the client, the editor and the backend behind them."""

    def __init__(self, client: LabelStudio, editor: Editor, backend: Backend, redis_url: str) -> None:
        self.client, self.editor, self.backend = client, editor, backend
        self._redis = redis.Redis.from_url(redis_url)
        self._task = 0
        self._contexts: list[dict[str, Any]] = []
        editor.page.on("request", self._remember)

    def _remember(self, request: Any) -> None:
        if request.url.endswith("/interactive-annotating"):
            self._contexts.append(json.loads(request.post_data)["context"])

    def project(self, photo: bytes, output: str = "BrushLabels") -> tuple[int, int]:
        """A new project with one photo and the backend connected; returns the ids of project and task."""
        fields = {"title": "e2e", "label_config": label_config(output), "show_collab_predictions": False}
        project = self.client.create_project(**fields)["id"]
        self.client.call("POST", f"/api/projects/{project}/import", files=[("file", ("photo.jpg", photo))])
        self.client.create_ml_backend(
            project=project, url=self.backend.url, title="clickmask", is_interactive=True
        )
        (task,) = self.client.tasks(project)
        self._task = task["id"]
        return project, self._task

    def annotations(self, task: int) -> list[dict[str, Any]]:
        """The saved annotations of a task, read through the API."""
        return self.client.task(task)["annotations"]

    def last_prompts(self) -> list[dict[str, Any]]:
        """The prompts of the browser's last request."""
        return self._contexts[-1]["result"]

    def last_body(self) -> dict[str, Any]:
        """The last click as the backend receives it."""
        task = self.client.task(self._task)
        config = self.client.project(task["project"])["label_config"]
        params = {"login": None, "password": None, "context": self._contexts[-1]}
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
            self._redis.flushall()
        self.backend.start()


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    """A real Label Studio."""
    if not LABEL_STUDIO.exists():
        pytest.skip(f"no Label Studio at {LABEL_STUDIO}: `make setup` installs it")
    server = LabelStudioServer(LABEL_STUDIO, tmp_path_factory.mktemp("label-studio"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def editor(studio: LabelStudioServer) -> Iterator[Editor]:
    """One annotator's browser window."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make setup`")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}: install Debian's chromium or set CLICKMASK_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGS)
        window = Editor(browser, studio.url, studio.email, studio.password)
        yield window
        window.close()
        browser.close()


@pytest.fixture(scope="session")
def bench(
    studio: LabelStudioServer, editor: Editor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Everything connected."""
    home = tmp_path_factory.mktemp("clickmask")
    with EmbeddedRedis(home) as redis_url:
        environment = {
            "CLICKMASK_HOME": str(home),
            "CLICKMASK_REDIS_URL": redis_url,
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": studio.token,
        }
        backend = Backend(home, environment)
        backend.start()
        settings = Settings(label_studio_url=studio.url, label_studio_api_key=studio.token)
        yield Bench(LabelStudio(settings), editor, backend, redis_url)
        backend.stop()
