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
from tests.backend.http_server import answers, body_of, send, send_json
from tests.backend.running_app import png
from tests.backend.task_studio import TaskStudio
from tests.fine_tune.proposals.drawn import discs

CONFIG = label_config(("Disc",))


class DiscStudio(TaskStudio):
    """Task n shows scene n."""

    def __init__(self, numbers: Sequence[int]) -> None:
        paths = {number: f"/data/upload/3/{number}.png" for number in numbers}
        super().__init__(
            {"id": number, "data": {"image": path}, "annotations": 0, "skipped": 0, "predictions": []}
            for number, path in paths.items()
        )
        self._last = 0
        for number, path in paths.items():
            self.web.routes[path] = answers(200, png(discs(number).image))
        self.web.routes["/api/projects/3/"] = lambda h: send_json(h, {"id": 3, "label_config": CONFIG})
        self.web.routes["/api/tasks"] = self._page
        self.web.routes["/api/projects/3/import/predictions"] = self._import

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

    def _page(self, handler: BaseHTTPRequestHandler) -> None:
        asked = parse_qs(urlsplit(handler.path).query)
        items = json.loads(asked["query"][0])["filters"]["items"]
        wanted = {item["filter"].removeprefix("filter:tasks:"): item["value"] for item in items}
        fitting = [
            task
            for number, task in sorted(self.tasks.items())
            if number > wanted.get("id", 0)
            and task["annotations"] == wanted["total_annotations"]
            and task["skipped"] == wanted.get("cancelled_annotations", task["skipped"])
        ]
        send_json(handler, {"tasks": fitting[: int(asked["page_size"][0])], "total": len(fitting)})

    def _import(self, handler: BaseHTTPRequestHandler) -> None:
        for found in body_of(handler):
            self.predict(found["task"], found["model_version"])
            self.tasks[found["task"]]["predictions"][-1] |= found
        send_json(handler, {"created": 1})

    def _remove(self, handler: BaseHTTPRequestHandler) -> None:
        number = int(re.findall(r"\d+", handler.path)[0])
        for task in self.tasks.values():
            task["predictions"] = [p for p in task["predictions"] if p["id"] != number]
        send(handler, 204, b"")
