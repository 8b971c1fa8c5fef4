"""As much of Label Studio as backend, worker and review ask: images, exports, projects, tasks and views."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from tests.backend.http_server import Web, send
from tests.golden.bodies import BRUSH, SIZE, drawing, file


class Studio(Web):
    """A loopback server; `size` is that of every drawing, `answers` are by path, `tasks` by project.

    Every path without an answer of its own that looks like an image is the drawing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size = SIZE
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.tasks: dict[int, list[dict[str, Any]]] = {}
        self.views: list[dict[str, Any]] = []
        self.otherwise = self._send

    def _send(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        sent = json.loads(handler.rfile.read(length)) if length else None
        send(handler, *self._answer(handler.command, handler.path, sent))

    def _answer(self, method: str, address: str, sent: Any) -> tuple[int, bytes]:
        path, _, query = address.partition("?")
        if path in self.answers:
            return self.answers[path]
        if not path.startswith("/api/"):
            return 200, file(drawing(*self.size))
        value = self._listed(query) if path == "/api/tasks" else self._api(method, path, sent)
        return (404, b"{}") if value is None else (200, json.dumps(value).encode())

    def _listed(self, query: str) -> Any:
        """The tasks of a project, without their annotations."""
        tasks = self.tasks.get(int(parse_qs(query)["project"][0]), [])
        light = [
            {"id": task["id"], "updated_at": "2026-11-20T10:00:00.000000Z", "total_annotations": 1}
            for task in tasks
        ]
        return {"tasks": light, "total": len(light)}

    def _api(self, method: str, path: str, sent: Any) -> Any:
        numbers = [int(number) for number in re.findall(r"/(\d+)/", path)]
        if path == "/api/dm/views/":
            self.views += [sent] if method == "POST" else []
            return sent if method == "POST" else self.views
        if path.startswith("/api/tasks/"):
            task = next(t for tasks in self.tasks.values() for t in tasks if t["id"] == numbers[0])
            task["data"] = sent["data"] if method == "PATCH" else task["data"]
            return task
        if path.endswith("/export"):
            return self.tasks.get(numbers[0], [])
        if path.startswith("/api/projects/"):
            count = len(self.tasks.get(numbers[0], []))
            return {"id": numbers[0], "label_config": BRUSH, "total_annotations_number": count}
        return None
