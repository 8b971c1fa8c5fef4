"""Sends requests and keeps the answers in a form that people can compare."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable
from typing import Any

from flask import Flask

from tests.golden.entry import area

HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(\+00:00|Z| UTC)?")
PORT = re.compile(r"127\.0\.0\.1:\d+")
REASON = re.compile(r"(not (?:JSON|XML)\b[:( ]+)[^;]*")  # in the words of a library
IDENTITY = re.compile(r"(fine-tune-\d+-|request )[0-9a-f]+")


class Recorder:
    """Answers by name of the request, in the order of the requests."""

    def __init__(self, app: Flask) -> None:
        self._client = app.test_client()
        self.answers: dict[str, Any] = {}

    def ask(
        self,
        name: str,
        path: str,
        body: Any = None,
        method: str = "POST",
        hidden: Iterable[str] = (),
        **more: Any,
    ) -> Any:
        """Send a request, keep its answer under `name`, and return the answer's JSON.

        Args:
            body: sent as JSON, bytes as they are.
            hidden: texts that are replaced by a number.
            more: further arguments of Flask's client, such as headers.
        """
        assert name not in self.answers, f"two requests are called {name}"
        if body is not None:
            more["data"] = body if isinstance(body, bytes) else json.dumps(body)
            more["content_type"] = "application/json"
        answer = self._client.open(path, method=method, **more)
        kept: dict[str, Any] = {"status": answer.status_code, "type": answer.content_type}
        kept |= {header: answer.headers[header] for header in HEADERS if header in answer.headers}
        if "Allow" in kept:  # a set, in no order
            kept["Allow"] = ", ".join(sorted(kept["Allow"].split(", ")))
        value = answer.json if answer.is_json and answer.data else answer.text
        kept["body"] = shown(value)
        self.answers[name] = _hide(kept, list(hidden))
        return value

    def click(self, name: str, body: Any, **more: Any) -> list[dict[str, Any]]:
        """As `ask` for /predict; returns the regions."""
        return self.ask(name, "/predict", body, **more)["results"][0]["result"]


def shown(value: Any) -> Any:
    """A JSON value with run-length codes replaced by their digest and area, and times by a word."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [shown(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    parts = {key: shown(entry) for key, entry in value.items()}
    if isinstance(value.get("value"), dict) and "rle" in value["value"]:
        parts["value"]["rle"] = {"sha256": digest(value["value"]["rle"]), "area": area(value)}
    if isinstance(value.get("value"), dict) and "points" in value["value"]:
        points = value["value"]["points"]
        parts["value"]["points"] = {"sha256": digest(points), "count": len(points)}
    return parts


def digest(value: Any) -> str:
    """The sha256 of a JSON value, in hex digits."""
    return hashlib.sha256(json.dumps(value, separators=(",", ":"), sort_keys=True).encode()).hexdigest()


def _text(text: str) -> str:
    """Text without what changes from run to run; of HTML, what a person reads."""
    if text.lstrip().startswith("<!doctype html>"):
        text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)
        text = " ".join(html.unescape(text).split())
    text = REASON.sub(r"\1...", text)
    return IDENTITY.sub(r"\1*", PORT.sub("127.0.0.1:PORT", TIME.sub("TIME", text)))


def _hide(value: Any, texts: list[str]) -> Any:
    if isinstance(value, str):
        return f"(hidden {texts.index(value)})" if value in texts else value
    if isinstance(value, list):
        return [_hide(entry, texts) for entry in value]
    if isinstance(value, dict):
        return {key: _hide(entry, texts) for key, entry in value.items()}
    return value
