"""Writes into Label Studio what people do there, and clickmask never does."""

from __future__ import annotations

from typing import Any

from backend.label_studio.client import LabelStudio

Record = dict[str, Any]


def import_tasks(client: LabelStudio, project: int, tasks: list[Record]) -> None:
    """Add tasks to a project."""
    client.call("POST", f"/api/projects/{project}/import", json=tasks)


def create_annotation(client: LabelStudio, task: int, result: list[Record], **fields: Any) -> Record:
    """Add an annotation to a task; returns it."""
    body = {"result": result, **fields}
    made: Record = client.call("POST", f"/api/tasks/{task}/annotations/", json=body)
    return made
