"""As much of Label Studio's API as a review uses, on a real loopback server that keeps what it is told."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.backend.http_server import Web, send


class Studio:
    """One project, 3, with tasks by id; `web.requests` records every call."""

    def __init__(self, tasks: list[dict[str, Any]]) -> None:
        self.tasks = {int(task["id"]): task for task in tasks}
        self.views: list[dict[str, Any]] = []
        self.web = Web()
        self.web.routes["/api/projects/3/export"] = lambda h: self._json(h, [*self.tasks.values()])
        self.web.routes["/api/dm/views/"] = self._views
        for number in self.tasks:
            self.web.routes[f"/api/tasks/{number}/"] = self._task

    def _task(self, handler: BaseHTTPRequestHandler) -> None:
        task = self.tasks[int(re.findall(r"\d+", handler.path)[0])]
        if handler.command == "PATCH":
            task["data"] = self._body(handler)["data"]
        self._json(handler, task)

    def _views(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "POST":
            self.views.append(self._body(handler))
        self._json(handler, self.views)

    def writes(self) -> list[str]:
        """Method and path of every call that changes something."""
        return [f"{method} {path}" for method, path, _ in self.web.requests if method != "GET"]

    def _body(self, handler: BaseHTTPRequestHandler) -> Any:
        return json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))

    def _json(self, handler: BaseHTTPRequestHandler, value: Any) -> None:
        send(handler, 200, json.dumps(value).encode())
