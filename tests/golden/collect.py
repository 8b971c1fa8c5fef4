"""Everything that is compared, collected from the current code."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flask import Flask

from tests.backend.redis_server import RedisServer
from tests.golden import requests_other, requests_predict, surface
from tests.golden.bodies import keypoint, predict
from tests.golden.entry import DATA, environment, recordings, serving
from tests.golden.recorder import Recorder, digest
from tests.golden.studio import Studio
from tests.waiting import until


class Place:
    """A home as version 0.1 left it, a Label Studio and, when it is asked for, a Redis."""

    def __init__(self, folder: Path) -> None:
        self.home, self.studio = folder / "home", Studio()
        shutil.copytree(DATA / "home-0.1", self.home)
        self._folder, self._redis = folder, None

    @property
    def redis(self) -> RedisServer:
        """Started with the first use."""
        if self._redis is None:
            self._redis = RedisServer(self._folder)
            self._redis.start()
        return self._redis

    def variables(self, redis: bool = False, **more: str) -> dict[str, str]:
        """Of a process at this place."""
        return environment(self.home, self.studio.url, self.redis.url if redis else None, **more)

    def close(self) -> None:
        """End the servers."""
        self.studio.close()
        if self._redis is not None:
            self._redis.stop()


@contextmanager
def place() -> Iterator[Place]:
    """A place in a new folder with a short path, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="cm") as folder:
        made = Place(Path(folder))
        try:
            yield made
        finally:
            made.close()


def predictions() -> dict[str, Any]:
    """Answers to clicks on images of our own, and what the metrics say after them."""
    with place() as here, serving(here.variables()) as app:
        ask = Recorder(app)
        requests_predict.predictions(ask, here.studio)
        ask.ask("the status page", "/", method="GET", headers={"Accept": "text/html"})
        metrics = surface.metrics(app.test_client().get("/metrics").text)
    return {**ask.answers, "metrics": metrics}


def routes() -> dict[str, Any]:
    """Answers of all other routes, and without a model."""
    with place() as here:
        with serving(here.variables(CLICKMASK_MAX_BODY_MB="1")) as app:
            ask = Recorder(app)
            requests_other.routes(ask)
            requests_other.events(ask, "without Redis")
        answers = ask.answers
        with serving(here.variables(redis=True)) as app:
            ask = Recorder(app)
            requests_other.events(ask, "with Redis")
        answers |= ask.answers
        weights = next((here.home / "registry/base").glob("*/model.safetensors"))
        weights.write_bytes(b"nonsense")
        with serving(here.variables(CLICKMASK_DEADLINE_S="0.3"), wait=False) as app:
            ask = Recorder(app)
            until("the problem", lambda: app.test_client().get("/ready").json["problems"])
            ask.ask("no model: a click", "/predict", predict(keypoint("k1", 25, 22), task=1))
            ask.ask("no model: setup", "/setup", requests_other.SETUP)
            ask.ask("no model: health", "/health", method="GET")
            ask.ask("no model: ready", "/ready", method="GET")
    return json.loads(json.dumps(answers | ask.answers).replace(str(here.home), "HOME"))


def accounts() -> dict[str, Any]:
    """Who may call."""
    secrets = {"BASIC_AUTH_USER": "ls", "BASIC_AUTH_PASS": "right", "CLICKMASK_WEBHOOK_SECRET": "secret"}
    with place() as here, serving(here.variables(redis=True, **secrets)) as app:
        ask = Recorder(app)
        requests_other.accounts(ask)
    return ask.answers


def projects() -> dict[str, Any]:
    """Answers of projects with models of their own; project 4's is for some images only."""
    with place() as here, serving(here.variables()) as app:
        ask = Recorder(app)
        for project in (3, 4, 5):
            ask.ask(f"project {project}: setup", "/setup", {"project": f"{project}.1700000000"})
        _wait_for_models(app)
        point = keypoint("k1", 25, 22)
        for project in (3, 4, 5):
            ask.click(f"project {project}: a click", predict(point, task=project, project=project))
        here.studio.size = (200, 40)
        wide = {**point, "original_width": 200, "original_height": 40}
        ask.click("project 4: another kind of image", predict(wide, task=9, project=4))
        ask.ask("versions", "/versions", method="GET")
        ask.ask("ready", "/ready", method="GET")
        ask.ask("the status page", "/", method="GET", headers={"Accept": "text/html"})
    return ask.answers


def recorded() -> dict[str, Any]:
    """Answers to what a real Label Studio sent; nothing of the requests is in them but label and control names."""
    # A click soon after another may go on with its object.
    still = patch("time.time", return_value=time.time())
    with place() as here, serving(here.variables()) as app, still:
        for project in (3, 4):
            app.test_client().post("/setup", json={"project": project})
        _wait_for_models(app)
        ask = Recorder(app)
        for name, recording in recordings():
            request = recording["request_received_by_backend"]
            body, hidden = request.get("body"), _identities(recording)
            if request["path"] == "/predict":
                for entry in (body["params"]["context"] or {}).get("result", []):
                    here.studio.size = entry["original_width"], entry["original_height"]
                for task in body["tasks"]:  # one address may show another image in another recording
                    address = task["data"]["image"]
                    task["data"]["image"] += f"{'&' if '?' in address else '?'}recording={name}"
            ask.ask(name, request["path"], body, method=request["method"], hidden=hidden)
            _hide_positions(ask.answers[name])
    return ask.answers


def _wait_for_models(app: Flask) -> None:
    """Wait until no project is answered by base any more that has a model of its own."""
    loaded = {"base", "project-3", "project-4"}
    until("the models", lambda: set(app.test_client().get("/ready").json["models"]) == loaded)


def _identities(value: Any) -> list[str]:
    """All values of ``id`` and ``user`` that are text, in order."""
    found: dict[str, None] = {}
    if isinstance(value, dict):
        for key, entry in value.items():
            named = key in ("id", "user") and isinstance(entry, str)
            found |= dict.fromkeys([entry] if named else _identities(entry))
    if isinstance(value, list):
        for entry in value:
            found |= dict.fromkeys(_identities(entry))
    return list(found)


def _hide_positions(answer: dict[str, Any]) -> None:
    body = answer["body"]
    for prediction in body.get("results", []) if isinstance(body, dict) else []:
        for region in prediction["result"] if isinstance(prediction, dict) else []:
            region["meta"]["points"] = {"sha256": digest(region["meta"]["points"])}


def everything_else() -> dict[str, Any]:
    """Commands, settings, keys of Redis and files of the registry."""
    with place() as here:
        found = {
            "commands": surface.commands(),
            "exit codes": surface.exit_codes(here.variables()),
            "settings": surface.settings(),
            "registry": surface.registry(here.home, here.variables()),
            "redis": surface.redis_keys(here.variables(redis=True), here.redis.client(), here.studio),
        }
    text = json.dumps(found).replace(str(here.home), "HOME")
    return json.loads(text.replace(str(here.home.parent), "FOLDER"))


SECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "predictions": predictions,
    "routes": routes,
    "accounts": accounts,
    "projects": projects,
    "recorded": recorded,
    "surface": everything_else,
}
