"""All other requests: of Label Studio, of operators and of strangers."""

from __future__ import annotations

import base64
from typing import Any

from tests.golden.bodies import BRUSH, keypoint, opened, predict
from tests.golden.recorder import Recorder

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
ROUTES = ("/predict", "/setup", "/train", "/webhook", "/versions", "/health", "/ready", "/metrics", "/")
SETUP = {"project": "1.1700000000", "schema": BRUSH, "hostname": "http://studio", "access_token": "t"}
EVENTS: dict[str, dict[str, Any]] = {
    "ANNOTATION_CREATED": {"annotation": {"id": 1, "task": 2, "updated_at": "2026-01-01T00:00:00Z"}},
    "ANNOTATION_UPDATED": {"annotation": {"id": 1, "task": 2, "updated_at": "2026-01-02T00:00:00Z"}},
    "ANNOTATIONS_CREATED": {"annotation": [{"id": 3, "task": 2}]},
    "ANNOTATIONS_DELETED": {"annotations": [{"id": 1}]},
    "REVIEW_CREATED": {"annotation": {"id": 1}, "review": {"id": 1, "accepted": True}},
    "REVIEW_UPDATED": {"annotation": {"id": 1}, "review": {"id": 1, "accepted": False}},
    "START_TRAINING": {},
    "TASKS_CREATED": {"tasks": [{"id": 2}]},
    "TASKS_DELETED": {"tasks": [{"id": 2}]},
    "PROJECT_CREATED": {},
    "PROJECT_UPDATED": {},
    "LABEL_LINK_CREATED": {},
}


def routes(ask: Recorder) -> None:
    """Every route with every method, without a body; and what Label Studio sends when it connects."""
    for route in ROUTES:
        for method in METHODS:
            if (route, method) not in (("/metrics", "GET"), ("/ready", "GET"), ("/", "HEAD")):
                ask.ask(f"{method} {route}", route, method=method)
    ask.ask("no such route", "/predictions", method="GET")
    ask.ask("setup", "/setup", SETUP)
    ask.ask("setup without a project", "/setup", {})
    ask.ask("setup with an odd project", "/setup", {"project": "mine"})
    ask.ask("setup with a list", "/setup", [])
    ask.ask("ready", "/ready", method="GET")
    ask.ask("the status page", "/", method="GET", headers={"Accept": "text/html"})
    ask.ask("too large", "/predict", b"[" + b" " * (1 << 20) + b"]")


def events(ask: Recorder, where: str) -> None:
    """Every webhook, and requests for training."""
    for action, body in EVENTS.items():
        ask.ask(f"{where}: {action}", "/webhook", {"action": action, "project": {"id": 9}, **body})
    ask.ask(f"{where}: no action", "/webhook", {"project": {"id": 9}})
    ask.ask(f"{where}: action is a number", "/webhook", {"action": 5})
    ask.ask(f"{where}: an annotation without a number", "/webhook", {"action": "ANNOTATION_CREATED"})
    ask.ask(f"{where}: a webhook that is no JSON", "/webhook", b"action")
    for name, project in (
        ("an object", {"id": 9}),
        ("text", "9.1700000000"),
        ("a number", 9),
        ("odd", "mine"),
    ):
        ask.ask(f"{where}: train, project is {name}", "/train", {"project": project})
    ask.ask(f"{where}: train nothing", "/train", {})


def accounts(ask: Recorder) -> None:
    """Right, wrong and missing passwords and secrets; the application wants ``ls``, ``right`` and ``secret``."""
    click = predict(keypoint("k1", 25, 22), task=1)
    studio = {"User-Agent": "heartex/1.23.2"}
    for name, headers in {
        "no password": {},
        "the right password": _basic("ls", "right"),
        "a wrong password": _basic("ls", "wrong"),
        "a token": {"Authorization": "Bearer abc"},
        "Label Studio without a password": studio,
    }.items():
        for route in ("/health", "/ready", "/versions", "/metrics", "/"):
            if (name, route) not in (("the right password", "/metrics"), ("the right password", "/ready")):
                ask.ask(f"{name}: {route}", route, method="GET", headers=headers)
        ask.ask(f"{name}: /setup", "/setup", SETUP, headers=headers)
        ask.ask(f"{name}: /predict", "/predict", click, headers=headers)
        ask.ask(f"{name}: a task is opened", "/predict", opened(1), headers=headers)
        ask.ask(f"{name}: /train", "/train", {"project": 9}, headers=headers)
        for action in ("ANNOTATION_CREATED", "START_TRAINING"):
            event = {"action": action, "project": {"id": 9}, **EVENTS[action]}
            ask.ask(f"{name}: {action}", "/webhook", event, headers=headers)
            for secret in ("secret", "guess"):
                in_url = f"/webhook?secret={secret}"
                ask.ask(f"{name}: {action}, {secret} in the address", in_url, event, headers=headers)
                in_header = {**headers, "X-Clickmask-Secret": secret}
                ask.ask(f"{name}: {action}, {secret} in a header", "/webhook", event, headers=in_header)


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
