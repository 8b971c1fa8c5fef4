"""Bodies recorded from a real Label Studio, read from the shared folder beside the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

SHARED = (
    Path(os.environ.get("CLICKMASK_SHARED") or Path(__file__).parents[2].parent / "shared") / "labelstudio"
)


def names(path: str = "/predict") -> list[str]:
    """Return the names of the recorded calls of one route, or one placeholder that makes its test skip."""
    files = sorted((SHARED / "recordings").glob("*.json"))
    found = [file.stem for file in files if _call(json.loads(file.read_text())).get("path") == path]
    return found or ["no recordings"]


def recording(start: str) -> dict[str, Any]:
    """Return the recording whose name starts so; skips the test where it is missing."""
    files = sorted((SHARED / "recordings").glob(f"{start}*.json"))
    if not files:
        pytest.skip(f"missing: {SHARED / 'recordings' / start}*.json")
    return json.loads(files[0].read_text())


def body(start: str) -> Any:
    """Return the body that the backend received in a recording."""
    return _call(recording(start))["body"]


def submitted(start: str) -> list[dict[str, Any]]:
    """Return the results of the annotation that the browser submitted in a recording."""
    calls = recording(start)["browser_to_label_studio"]
    return next(call["body"]["result"] for call in calls if "result" in call["body"])


def rle_vectors() -> list[dict[str, Any]]:
    """Return the run-length test vectors."""
    file = SHARED / "rle_vectors.json"
    if not file.exists():
        pytest.skip(f"missing: {file}")
    return json.loads(file.read_text())


def _call(recorded: dict[str, Any]) -> dict[str, Any]:
    return recorded.get("request_received_by_backend") or {}
