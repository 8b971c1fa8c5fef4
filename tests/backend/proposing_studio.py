"""A project of drawn discs whose model proposes, and as much of Label Studio's API as proposals use."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backend.label_studio.connect import label_config
from backend.settings import Settings
from tests.backend.http_server import Web, answers, send
from tests.backend.running_app import png
from tests.fine_tune.proposals.drawn import discs

CONFIG = label_config(("Disc",))


class DiscStudio:
    """Project 3; task n shows scene n. Tests may change `tasks`."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.web, self.views, self._last = Web(), list[Any](), 0
        self.tasks: dict[int, dict[str, Any]] = {}
        for number in numbers:
            path = f"/data/upload/3/{number}.png"
            self.tasks[number] = {"id": number, "data": {"image": path}, "annotations": 0, "predictions": []}
            self.web.routes[path] = answers(200, png(discs(number).image))
            self.web.routes[f"/api/tasks/{number}/"] = self._task
        self.web.routes["/api/projects/3/"] = self._project
        self.web.routes["/api/tasks"] = self._page
        self.web.routes["/api/projects/3/import/predictions"] = self._import
        self.web.routes["/api/dm/views/"] = self._views

    def settings(self, home: Path, **changes: Any) -> Settings:
        """Settings of a backend of this Label Studio."""
        basic = {"home": home, "label_studio_url": self.web.url, "label_studio_api_key": "a" * 40}
        return Settings(**{**basic, "device": "cpu", "threads": 1, "deadline_s": 100, **changes})

    def variables(self, home: Path, **more: str) -> dict[str, str]:
        """The same settings as environment variables."""
        basic = {"CLICKMASK_HOME": str(home), "LABEL_STUDIO_URL": self.web.url, "CLICKMASK_DEVICE": "cpu"}
        return {**basic, "LABEL_STUDIO_API_KEY": "a" * 40, **more}

    def predict(self, task: int, version: str) -> None:
        """Store a prediction that something made before."""
        self._last += 1
        found = {"id": self._last, "result": [], "model_version": version}
        self.tasks[task]["predictions"].append(found)
        self.web.routes[f"/api/predictions/{self._last}/"] = self._remove

    def versions(self, task: int) -> list[str]:
        """Versions whose predictions a task has."""
        return [prediction["model_version"] for prediction in self.tasks[task]["predictions"]]

    def writes(self) -> list[str]:
        """Method and path of every call that changes something."""
        return [f"{method} {path}" for method, path, _ in self.web.requests if method != "GET"]

    def close(self) -> None:
        """Stop the server."""
        self.web.close()

    def _project(self, handler: BaseHTTPRequestHandler) -> None:
        done = sum(task["annotations"] > 0 for task in self.tasks.values())
        numbers = {"task_number": len(self.tasks), "num_tasks_with_annotations": done}
        _json(handler, {"id": 3, "label_config": CONFIG, **numbers})

    def _page(self, handler: BaseHTTPRequestHandler) -> None:
        asked = parse_qs(urlsplit(handler.path).query)
        items = json.loads(asked["query"][0])["filters"]["items"]
        (after,) = (item["value"] for item in items if item["filter"] == "filter:tasks:id")
        fitting = [t for n, t in sorted(self.tasks.items()) if n > after and not t["annotations"]]
        _json(handler, {"tasks": fitting[: int(asked["page_size"][0])], "total": len(fitting)})

    def _task(self, handler: BaseHTTPRequestHandler) -> None:
        task = self.tasks[int(re.findall(r"\d+", handler.path)[0])]
        if handler.command == "PATCH":
            task["data"] = _body(handler)["data"]
        _json(handler, task)

    def _import(self, handler: BaseHTTPRequestHandler) -> None:
        for found in _body(handler):
            self.predict(found["task"], found["model_version"])
            self.tasks[found["task"]]["predictions"][-1] |= found
        _json(handler, {"created": 1})

    def _remove(self, handler: BaseHTTPRequestHandler) -> None:
        number = int(re.findall(r"\d+", handler.path)[0])
        for task in self.tasks.values():
            task["predictions"] = [p for p in task["predictions"] if p["id"] != number]
        send(handler, 204, b"")

    def _views(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "POST":
            self.views.append(_body(handler))
        _json(handler, self.views)


def _body(handler: BaseHTTPRequestHandler) -> Any:
    return json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))


def _json(handler: BaseHTTPRequestHandler, value: Any) -> None:
    send(handler, 200, json.dumps(value).encode())
