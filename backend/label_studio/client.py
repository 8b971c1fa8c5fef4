"""Calls Label Studio's API: both kinds of token, any sub-path, errors that say what to change."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import requests

from backend.label_studio.transport import (
    Answered,
    LabelStudioError,
    explain,
    lifetime,
    open_session,
    shaped,
    token_kind,
    unreachable,
    way_to,
)
from backend.settings import Settings

TIMEOUT_S = (3.0, 30.0)  # connect, read
EXCHANGE_TIMEOUT_S = (3.0, 10.0)
EXPORT_TIMEOUT_S = (3.0, 600.0)  # Label Studio makes the whole export before it answers
MARGIN_S = 30.0  # tokens are renewed that long before they end
PAGE = 100
BATCH = 50  # tasks whose annotations are asked for at once

# Else addresses in cloud storage come as Label Studio's own, and whoever writes the data back would lose them.
AS_STORED = {"resolve_uri": "false"}

Record = dict[str, Any]

# The Data Manager's filters for tasks that nobody has annotated or skipped.
UNLABELLED: tuple[Record, ...] = tuple(
    {"filter": f"filter:tasks:{column}", "operator": "equal", "type": "Number", "value": 0}
    for column in ("total_annotations", "cancelled_annotations")
)


class LabelStudio:
    """The Label Studio that LABEL_STUDIO_URL names, as the owner of LABEL_STUDIO_API_KEY.

    Safe to use from several threads. Every method raises `LabelStudioError`.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = (settings.label_studio_url or "").rstrip("/")
        self._token = (settings.label_studio_api_key or "").strip()
        self._kind = token_kind(self._token)
        self._lock = threading.Lock()
        self._access, self._expires = "", 0.0
        self._failure = 0.0, LabelStudioError("")  # of an exchange, and when
        self._session = open_session()

    @property
    def configured(self) -> bool:
        """Whether there are an address and a token to ask with."""
        return bool(self.url and self._token)

    def headers(self) -> dict[str, str]:
        """Return credentials for one request; a personal access token is exchanged for a short-lived one first."""
        if not self._token:
            return {}
        if self._kind == "legacy":
            return {"Authorization": f"Token {self._token}"}
        return {"Authorization": f"Bearer {self._token if self._kind == 'access' else self._renewed()}"}

    def expire(self) -> bool:
        """Forget the short-lived token; False where the next request will not get a new one."""
        self._expires = 0.0
        return self._kind == "refresh"

    def _renewed(self) -> str:
        """Return a token that lasts; one thread gets a new one, and others use the old one while it does last."""
        asked = time.monotonic()
        if asked > self._expires - MARGIN_S and self._lock.acquire(blocking=asked > self._expires):
            try:
                self._renew(asked)
            finally:
                self._lock.release()
        return self._access

    def _renew(self, asked: float) -> None:
        """Get a new token, unless another thread came first since `asked`; its failure is that of all who waited."""
        if self._expires - MARGIN_S >= asked:
            return
        failed, error = self._failure
        if failed >= asked:
            raise LabelStudioError(str(error), error.status)
        try:
            access = self._exchange()
        except LabelStudioError as error:
            self._failure = time.monotonic(), error
            raise
        self._access, self._expires = access, asked + lifetime(access)

    def _exchange(self) -> str:
        path, body = "/api/token/refresh/", {"refresh": self._token}
        answer = self._send("POST", path, {}, json=body, timeout=EXCHANGE_TIMEOUT_S)
        if answer.status_code in (400, 401, 403):
            raise LabelStudioError(
                f"Label Studio does not accept the personal access token (status {answer.status_code}): "
                "create a new one under Account & Settings and set LABEL_STUDIO_API_KEY",
                answer.status_code,
            )
        return str(shaped(self._decoded(answer, path), dict)["access"])

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Send one request and return the decoded JSON (None for an empty body).

        Args:
            path: below LABEL_STUDIO_URL, with a leading slash.
            options: as for `requests.request` (json, params, files, ...).
        """
        answer = self._send(method, path, self.headers(), **options)
        if answer.status_code == 401 and self.expire():
            answer = self._send(method, path, self.headers(), **options)
        return self._decoded(answer, path)

    def _object(self, method: str, path: str, **options: Any) -> Record:
        return shaped(self.call(method, path, **options), dict)

    def _objects(self, method: str, path: str, **options: Any) -> list[Record]:
        return shaped(self.call(method, path, **options), list)

    def _send(self, method: str, path: str, headers: dict[str, str], **options: Any) -> requests.Response:
        if not self.url:
            raise LabelStudioError("LABEL_STUDIO_URL is not set: set it to the address of your Label Studio")
        options = {"timeout": TIMEOUT_S, "allow_redirects": False, **way_to(self.url), **options}
        try:
            return self._session.request(method, self.url + path, headers=headers, **options)
        except (requests.RequestException, ValueError) as error:  # the latter of what is no address
            raise LabelStudioError(unreachable(self.url, error)) from None

    def _decoded(self, answer: requests.Response, path: str) -> Any:
        if answer.is_redirect:
            place = answer.headers["Location"].split("?")[0]
            raise LabelStudioError(
                f"{self.url}{path} leads to {place}: set LABEL_STUDIO_URL to where Label Studio really is"
            )
        if answer.status_code >= 400:
            raise LabelStudioError(explain(answer, path, bool(self._token)), answer.status_code)
        if not answer.content:
            return None
        try:
            return answer.json(object_hook=Answered)
        except ValueError:
            raise LabelStudioError(
                f"{self.url}{path} answered with something else than JSON: is LABEL_STUDIO_URL right?"
            ) from None

    def version(self) -> str:
        """Return Label Studio's version, such as "1.23.2"."""
        told = self._object("GET", "/api/version")
        return str(told.get("release") or told.get("label-studio-os-package", {}).get("version", "unknown"))

    def users(self) -> list[Record]:
        """Return the accounts of the organization."""
        return self._objects("GET", "/api/users/")

    def whoami(self) -> Record:
        """Return the account behind the token."""
        return self._object("GET", "/api/current-user/whoami")

    def projects(self) -> Iterator[Record]:
        """Return all projects the account sees."""
        return self._pages("/api/projects", "results", "count")

    def project(self, project: int) -> Record:
        """Return one project, with its label config."""
        return self._object("GET", f"/api/projects/{project}/")

    def create_project(self, **fields: Any) -> Record:
        """Create a project from its fields (title, label_config, ...)."""
        return self._object("POST", "/api/projects/", json=fields)

    def update_project(self, project: int, **fields: Any) -> Record:
        """Change some fields of a project."""
        return self._object("PATCH", f"/api/projects/{project}/", json=fields)

    def tasks(self, project: int) -> Iterator[Record]:
        """Return all tasks of a project with data, annotations, predictions; data as in `task`."""
        return self._pages("/api/tasks", "tasks", "total", project=project, fields="all", **AS_STORED)

    def unlabelled_tasks(
        self, project: int, after: int = 0, count: int = PAGE, fields: str = "task_only"
    ) -> list[Record]:
        """Return the first `count` tasks above `after` that nobody has annotated or skipped; data as in `task`."""
        above = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": after}
        query = {"filters": {"conjunction": "and", "items": [above, *UNLABELLED]}, "ordering": ["tasks:id"]}
        return self.page(project, query, size=count, fields=fields)[0]

    def page(
        self, project: int, query: Record, number: int = 1, size: int = PAGE, **more: str
    ) -> tuple[list[Record], int]:
        """Return a page of the tasks that a Data Manager's query finds, and how many it finds; data as in `task`."""
        params = {"project": project, "page": number, "page_size": size, "query": json.dumps(query)}
        answer = self._object("GET", "/api/tasks", params={**params, **more, **AS_STORED})
        return shaped(answer["tasks"], list), shaped(answer["total"], int)

    def task(self, task: int) -> Record:
        """Return one task with its annotations, and its data as stored (s3://..., not Label Studio's way to it)."""
        return self._object("GET", f"/api/tasks/{task}/", params=AS_STORED)

    def update_task(self, task: int, data: Record) -> Record:
        """Replace a task's data."""
        return self._object("PATCH", f"/api/tasks/{task}/", json={"data": data})

    def upload(self, project: int, files: list[Path]) -> Record:
        """Upload image files; each becomes a task."""
        # One name each: of several files under one name, Label Studio takes the last.
        parts = [(f"file{n}", (path.name, path.read_bytes())) for n, path in enumerate(files)]
        return self._object("POST", f"/api/projects/{project}/import", files=parts)

    def annotated_tasks(self, project: int, among: Sequence[int] = ()) -> list[Record]:
        """Return all tasks that carry annotations, with full results; of some tasks where these are named."""
        path, params = f"/api/projects/{project}/export", {"exportType": "JSON", "ids[]": list(among)}
        return self._objects("GET", path, params=params, timeout=EXPORT_TIMEOUT_S)

    def annotated_among(self, project: int, tasks: Sequence[int]) -> Iterator[Record]:
        """Yield those of some tasks that carry annotations, asked for in parts: all their masks may be gigabytes."""
        for start in range(0, len(tasks), BATCH):
            yield from self.annotated_tasks(project, tasks[start : start + BATCH])

    def state(self, project: int) -> str:
        """Return a text that becomes another one whenever an annotation of the project comes, changes or goes."""
        number = self.project(project)["total_annotations_number"]
        tasks, _ = self.page(project, {"ordering": ["-tasks:updated_at"]}, size=1)
        newest = [task["updated_at"] for task in tasks]
        return f"{number} {newest}"

    def import_predictions(self, project: int, predictions: list[Record]) -> None:
        """Add predictions, each with its task's number (task, result, score, model_version)."""
        self.call("POST", f"/api/projects/{project}/import/predictions", json=predictions)

    def delete_prediction(self, prediction: int) -> None:
        """Remove one prediction."""
        self.call("DELETE", f"/api/predictions/{prediction}/")

    def ml_backends(self, project: int) -> list[Record]:
        """Return the ML backends of a project."""
        return self._objects("GET", "/api/ml", params={"project": project})

    def create_ml_backend(self, **fields: Any) -> Record:
        """Connect an ML backend (project, url, title, is_interactive, auth_method, ...)."""
        return self._object("POST", "/api/ml", json=fields)

    def update_ml_backend(self, backend: int, **fields: Any) -> Record:
        """Change some fields of an ML backend."""
        return self._object("PATCH", f"/api/ml/{backend}", json=fields)

    def delete_ml_backend(self, backend: int) -> None:
        """Disconnect an ML backend."""
        self.call("DELETE", f"/api/ml/{backend}")

    def webhooks(self, project: int) -> list[Record]:
        """Return the webhooks of a project."""
        return self._objects("GET", "/api/webhooks/", params={"project": project})

    def create_webhook(self, **fields: Any) -> Record:
        """Add a webhook (project, url, headers, ...)."""
        return self._object("POST", "/api/webhooks/", json=fields)

    def delete_webhook(self, webhook: int) -> None:
        """Remove a webhook."""
        self.call("DELETE", f"/api/webhooks/{webhook}/")

    def update_webhook(self, webhook: int, **fields: Any) -> Record:
        """Change some fields of a webhook (url, headers, ...)."""
        return self._object("PATCH", f"/api/webhooks/{webhook}/", json=fields)

    def views(self, project: int) -> list[Record]:
        """Return the Data Manager's tabs of a project."""
        return self._objects("GET", "/api/dm/views/", params={"project": project})

    def create_view(self, project: int, data: Record) -> Record:
        """Create a tab of the Data Manager."""
        return self._object("POST", "/api/dm/views/", json={"project": project, "data": data})

    def _pages(self, path: str, key: str, total: str, **params: Any) -> Iterator[Record]:
        """Everything of a paged list; a page after the last one would be an error."""
        page, seen = 1, 0
        while True:
            answer = self._object("GET", path, params={"page": page, "page_size": PAGE, **params})
            listed = shaped(answer[key], list)
            yield from listed
            seen += len(listed)
            if not listed or seen >= shaped(answer[total], int):
                return
            page += 1
