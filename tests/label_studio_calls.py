"""Writes into Label Studio what people do there, and clickmask never does."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.label_studio.client import LabelStudio
from backend.label_studio.mask_regions import accepted
from model.click import Click

Record = dict[str, Any]


def import_tasks(client: LabelStudio, project: int, tasks: list[Record]) -> None:
    """Add tasks to a project."""
    client.call("POST", f"/api/projects/{project}/import", json=tasks)


def import_photo(client: LabelStudio, project: int, photo: bytes, name: str = "photo.png") -> None:
    """Add a task with an uploaded image to a project."""
    client.call("POST", f"/api/projects/{project}/import", files=[("file", (name, photo))])


def prompt(click: Click, shape: tuple[int, ...], label: str = "Cat") -> Record:
    """What the editor sends for a click on an image of this height and width."""
    height, width = shape
    place = {"x": 100 * click.x / width, "y": 100 * click.y / height, "width": 0.2}
    return {
        "id": uuid.uuid4().hex[:10],
        "type": "keypointlabels",
        "from_name": "kp",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "is_positive": click.positive,
        "value": {**place, "labels": [label], "keypointlabels": [label]},
    }


def send_prompts(client: LabelStudio, project: int, task: int, prompts: Sequence[Record]) -> Record:
    """Send prompts as the editor does: Label Studio passes them on to the backend.

    Returns:
        What the editor gets, with `result` and `model_version`.
    """
    (backend,) = client.ml_backends(project)
    body = {"task": task, "context": {"result": list(prompts)}}
    answer: Record = client.call("POST", f"/api/ml/{backend['id']}/interactive-annotating", json=body)
    return answer["data"]


def mask_of(result: list[Record], shape: tuple[int, ...]) -> np.ndarray:
    """All masks of a result as one, HxW bool; empty where there is none."""
    return np.logical_or.reduce([np.zeros(shape, bool), *(region.mask() for region in accepted(result))])


def create_annotation(client: LabelStudio, task: int, result: list[Record], **fields: Any) -> Record:
    """Add an annotation to a task; returns it."""
    body = {"result": result, **fields}
    made: Record = client.call("POST", f"/api/tasks/{task}/annotations/", json=body)
    return made
