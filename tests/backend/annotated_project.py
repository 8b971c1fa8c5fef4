"""A Label Studio project in miniature for worker tests: a real HTTP server with one export and its images."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from backend.label_studio.mask_formats import rle
from tests.backend.http_server import Web, answers
from tests.backend.running_app import png
from tests.fine_tune.shape_scenes import shape_scene

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>
<KeyPointLabels name="kp" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels></View>"""
PROJECT = 3


def annotated(count: int) -> Web:
    """A server whose project PROJECT has `count` images with one annotated shape each, ids 1..count."""
    web, tasks = Web(), []
    for number in range(1, count + 1):
        scene = shape_scene(np.random.default_rng(number))
        web.routes[f"/data/upload/3/{number}.png"] = answers(200, png(scene.image))
        tasks.append(task(number, scene.truth))
    export(web, tasks)
    return web


def export(web: Web, tasks: list[dict[str, Any]]) -> None:
    """Have the project consist of these tasks, each with one annotation."""
    newest = sorted(({"updated_at": each["annotations"][0]["updated_at"]} for each in tasks), key=str)[-1:]
    record = {"id": PROJECT, "label_config": CONFIG, "total_annotations_number": len(tasks)}
    web.routes["/api/projects/3/export"] = answers(200, json.dumps(tasks).encode())
    web.routes["/api/projects/3/"] = answers(200, json.dumps(record).encode())
    web.routes["/api/tasks"] = answers(200, json.dumps({"tasks": newest, "total": len(tasks)}).encode())


def task(number: int, mask: np.ndarray) -> dict[str, Any]:
    """A task with one annotation of one object, as Label Studio exports it."""
    height, width = mask.shape
    region = {
        "id": f"r{number}",
        "type": "brushlabels",
        "from_name": "brush",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "value": {"format": "rle", "rle": list(rle.encode(mask)), "brushlabels": ["Cat"]},
    }
    keypoint = {
        **region,
        "id": "k",
        "type": "keypointlabels",
        "value": {"x": 1, "y": 1, "keypointlabels": ["Cat"]},
    }
    annotation = {
        "id": number,
        "result": [keypoint, region],
        "was_cancelled": False,
        "ground_truth": False,
        "updated_at": f"2026-01-01T00:00:{number:02}.000000Z",
    }
    return {"id": number, "data": {"image": f"/data/upload/3/{number}.png"}, "annotations": [annotation]}
