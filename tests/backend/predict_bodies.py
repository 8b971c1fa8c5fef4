"""Builders for /predict bodies as Label Studio sends them."""

from __future__ import annotations

from typing import Any

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image" smart="false"><Label value="Cat"/><Label value="Dog"/></BrushLabels>
  <KeyPointLabels name="kp" toName="image" smart="true"><Label value="Cat"/><Label value="Dog"/></KeyPointLabels>
  <RectangleLabels name="rect" toName="image" smart="true"><Label value="Cat"/><Label value="Dog"/></RectangleLabels>
</View>"""


def keypoint(
    number: str, x: float, y: float, positive: bool | None = True, label: str = "Cat"
) -> dict[str, Any]:
    """Return a keypoint at (x, y) percent of a 200x100 image."""
    entry = _entry(number, "keypointlabels", "kp", {"x": x, "y": y, "width": 0.2, "keypointlabels": [label]})
    if positive is not None:
        entry["is_positive"] = positive
        entry["value"]["labels"] = [label]
    return entry


def rectangle(number: str, x: float, y: float, width: float, height: float) -> dict[str, Any]:
    """Return a rectangle, in percent of a 200x100 image."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["Cat"]}
    return _entry(number, "rectanglelabels", "rect", value)


def accepted_mask(*prompts: str) -> dict[str, Any]:
    """Return a mask of a draft that was made from these prompts."""
    return {"id": "mask", "type": "brushlabels", "value": {}, "meta": {"prompts": list(prompts)}}


def predict(*result: dict[str, Any], config: str = CONFIG, **task: Any) -> dict[str, Any]:
    """Return an interactive body; keyword arguments become fields of its task."""
    return {
        "tasks": [{"id": 7, "data": {"image": "/data/upload/3/a.jpg"}, **task}],
        "project": "3.1795333633",
        "label_config": config,
        "params": {"login": None, "password": None, "context": {"result": list(result)}},
    }


def click(
    *result: dict[str, Any], path: str = "/data/upload/1/a.png", config: str = CONFIG, **task: Any
) -> dict[str, Any]:
    """Return an interactive body for the image at `path`."""
    return predict(*result, config=config, **{"data": {"image": path}, **task})


def _entry(number: str, kind: str, from_name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number,
        "type": kind,
        "from_name": from_name,
        "to_name": "image",
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
        "origin": "manual",
        "value": value,
    }


ONE = keypoint("k1", 30, 40)
