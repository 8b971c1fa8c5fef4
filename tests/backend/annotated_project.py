"""A Label Studio project in miniature for worker tests: a real HTTP server with one export and its images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from tests.backend.drawn_regions import brush
from tests.backend.http_server import Web, answers, answers_json, send_json
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
    """Have the project consist of these tasks: listed page by page, as is asked for, and exported."""
    total = sum(len(each["annotations"]) for each in tasks)
    record = {"id": PROJECT, "label_config": CONFIG, "total_annotations_number": total}

    def asked(handler: BaseHTTPRequestHandler) -> dict[str, list[str]]:
        return parse_qs(urlsplit(handler.path).query)

    def exported(handler: BaseHTTPRequestHandler) -> None:
        among = {int(number) for number in asked(handler).get("ids[]", [])}
        chosen = [each for each in tasks if each["annotations"] and (not among or each["id"] in among)]
        send_json(handler, chosen)

    def listed(handler: BaseHTTPRequestHandler) -> None:
        page, size = (int(asked(handler)[key][0]) for key in ("page", "page_size"))
        found = _chosen(map(_light, tasks), json.loads(asked(handler)["query"][0]))
        part = found[(page - 1) * size : page * size]
        send_json(handler, {"tasks": part, "total": len(found)})

    web.routes["/api/projects/3/export"] = exported
    web.routes["/api/projects/3/"] = answers_json(record)
    web.routes["/api/projects"] = answers_json({"results": [record], "count": 1})
    web.routes["/api/tasks"] = listed


def before_the_second_page(web: Web, act: Callable[[], None]) -> None:
    """Have something happen to the project between the first page of its tasks and the second one."""
    first, page = iter([True]), web.routes["/api/tasks"]

    def listed(handler: BaseHTTPRequestHandler) -> None:
        if "page_size=100" in handler.path and not next(first, False):
            web.routes["/api/tasks"] = page
            act()
        page(handler)

    web.routes["/api/tasks"] = listed


def _chosen(tasks: Iterable[dict[str, Any]], query: dict[str, Any]) -> list[dict[str, Any]]:
    """Those above a number where that is asked for; in the order of their numbers, or the newest change first."""
    for above in query.get("filters", {"items": []})["items"]:
        assert (above["filter"], above["operator"]) == ("filter:tasks:id", "greater")
        tasks = [each for each in tasks if each["id"] > above["value"]]
    if query["ordering"] == ["tasks:id"]:
        return sorted(tasks, key=lambda each: each["id"])
    assert query["ordering"] == ["-tasks:updated_at"]
    return sorted(tasks, key=lambda each: str(each["updated_at"]), reverse=True)


def _light(task: dict[str, Any]) -> dict[str, Any]:
    """A task as Label Studio lists it; it changes with its annotations."""
    times = [annotation["updated_at"] for annotation in task["annotations"]]
    cancelled = sum(annotation["was_cancelled"] for annotation in task["annotations"])
    return {
        "id": task["id"],
        "data": task["data"],
        "updated_at": max([task.get("updated_at", "2025"), *times]),
        "total_annotations": len(times) - cancelled,
        "cancelled_annotations": cancelled,
    }


def task(number: int, mask: np.ndarray) -> dict[str, Any]:
    """A task with one annotation of one object, as Label Studio exports it."""
    region = brush(f"r{number}", mask)
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
