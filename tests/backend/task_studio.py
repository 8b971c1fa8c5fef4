"""As much of Label Studio's API as it takes to read and change the data of tasks, and to make tabs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.backend.http_server import Web, body_of, send_json


class TaskStudio:
    """One project, 3, with tasks by id, which tests may change; `web.requests` records every call."""

    def __init__(self, tasks: Iterable[dict[str, Any]]) -> None:
        self.web, self.views = Web(), list[Any]()
        self.tasks = {int(task["id"]): task for task in tasks}
        self.web.routes["/api/dm/views/"] = self._views
        for number in self.tasks:
            self.web.routes[f"/api/tasks/{number}/"] = self.task

    def task(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer with a task, its data changed where that is asked for."""
        task = self.tasks[int(re.findall(r"\d+", handler.path)[0])]
        if handler.command == "PATCH":
            task["data"] = body_of(handler)["data"]
        send_json(handler, task)

    def writes(self) -> list[str]:
        """Method and path of every call that changes something."""
        return [f"{method} {path}" for method, path, _ in self.web.requests if method != "GET"]

    def close(self) -> None:
        """Stop the server."""
        self.web.close()

    def _views(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "POST":
            self.views.append(body_of(handler))
        send_json(handler, self.views if handler.command == "GET" else self.views[-1])
