"""As much of Label Studio's API as connecting and the doctor use, on a loopback server that keeps what it is told."""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler
from typing import Any

from backend.label_studio.client import LabelStudio
from backend.settings import Settings
from tests.backend.http_server import Web, body_of, send, send_json


class ConnectedStudio:
    """Projects, tasks, ML backends and webhooks by id, in the shape of the API; tests may change them."""

    def __init__(self) -> None:
        self.projects: dict[int, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []
        self.backends: dict[int, dict[str, Any]] = {}
        self.webhooks: dict[int, dict[str, Any]] = {}
        self.web = Web()
        for path, rows in (("/api/ml", self.backends), ("/api/webhooks/", self.webhooks)):
            self._serve(path, rows)
        self.web.routes["/api/projects"] = lambda h: send_json(
            h, {"results": [*self.projects.values()], "count": len(self.projects)}
        )
        self.web.routes["/api/projects/"] = self._make_project
        self.web.routes["/api/tasks"] = lambda h: send_json(
            h, {"tasks": self.tasks, "total": len(self.tasks)}
        )

    def add_project(self, **fields: Any) -> int:
        """Make a project; returns its id."""
        number = len(self.projects) + 1
        self.projects[number] = {"id": number, "title": "", "show_collab_predictions": True, **fields}
        self.web.routes[f"/api/projects/{number}/"] = lambda h: self._row(h, self.projects, number)
        self.web.routes[f"/api/projects/{number}/import"] = self._upload
        return number

    def settings(self, **changes: Any) -> Settings:
        """Settings of a backend of this Label Studio."""
        return Settings(label_studio_url=self.web.url, label_studio_api_key="a" * 40, **changes)

    def client(self) -> LabelStudio:
        """A client of it."""
        return LabelStudio(self.settings())

    def close(self) -> None:
        """Stop the server."""
        self.web.close()

    def _serve(self, path: str, rows: dict[int, dict[str, Any]]) -> None:
        def all_of(handler: BaseHTTPRequestHandler) -> None:
            if handler.command == "POST":
                number = len(rows) + 1
                rows[number] = {"id": number, "state": "CO", "is_active": True, **body_of(handler)}
                for below in (f"{path.rstrip('/')}/{number}", f"{path.rstrip('/')}/{number}/"):
                    self.web.routes[below] = lambda h: self._row(h, rows, number)
                return send_json(handler, rows[number])
            return send_json(handler, [*rows.values()])

        self.web.routes[path] = all_of

    def _make_project(self, handler: BaseHTTPRequestHandler) -> None:
        send_json(handler, self.projects[self.add_project(**body_of(handler))])

    def _upload(self, handler: BaseHTTPRequestHandler) -> None:
        sent = handler.rfile.read(int(handler.headers["Content-Length"]))
        for name in re.findall(rb'filename="([^"]+)"', sent):
            image = f"/data/upload/1/{name.decode()}"
            self.tasks.append({"id": len(self.tasks) + 1, "data": {"image": image}})
        send_json(handler, {})

    def _row(self, handler: BaseHTTPRequestHandler, rows: dict[int, dict[str, Any]], number: int) -> None:
        if handler.command == "DELETE":
            del rows[number]
            return send(handler, 204, b"")
        if handler.command == "PATCH":
            rows[number].update(body_of(handler))
        return send_json(handler, rows[number])
