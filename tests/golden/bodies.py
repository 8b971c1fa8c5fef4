"""Images and /predict bodies of our own, in the form of Label Studio's."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

SIZE = (160, 120)  # of images, where nothing else is said
LABELS = '<Label value="Cat"/><Label value="Dog"/>'
PROMPTS = f"""<KeyPointLabels name="kp" toName="image" smart="true">{LABELS}</KeyPointLabels>
<RectangleLabels name="rect" toName="image" smart="true">{LABELS}</RectangleLabels>"""


def labeling_config(*outputs: str, image: str = 'value="$image"') -> str:
    """A config with smart keypoints and rectangles, and output tags such as ``Brush`` and ``Polygon``."""
    tags = "\n".join(
        f'<{kind}Labels name="{kind.lower()}" toName="image" smart="false">{LABELS}</{kind}Labels>'
        for kind in outputs
    )
    return f'<View><Image name="image" {image}/>\n{tags}\n{PROMPTS}</View>'


BRUSH = labeling_config("Brush")


def drawing(width: int, height: int) -> np.ndarray:
    """Four red ellipses and a red bar on blue, HxWx3 uint8; every pixel is all of a colour or nothing of it."""
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height)[:, None] + 0.5) / height
    centres = [(0.25, 0.22), (0.75, 0.25), (0.22, 0.75), (0.75, 0.78)]
    red = np.logical_or.reduce([((x - a) / 0.17) ** 2 + ((y - b) / 0.15) ** 2 < 1 for a, b in centres])
    red |= (x > 0.05) & (x < 0.95) & (abs(y - 0.5) < 0.05)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = 255 * red, 255 * ~red
    return pixels


def file(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """The image as a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def keypoint(
    number: str, x: float, y: float, positive: bool | None = True, label: str = "Cat", **more: Any
) -> dict[str, Any]:
    """A keypoint at (x, y) percent of the image; `positive` None: as one that was restored or drawn by hand."""
    value: dict[str, Any] = {"x": x, "y": y, "width": 0.3, "keypointlabels": [label]}
    entry = _entry(number, "keypointlabels", "kp", value)
    if positive is not None:
        entry["is_positive"] = positive
        value["labels"] = [label]
    return {**entry, **more}


def rectangle(
    number: str, x: float, y: float, width: float, height: float, turned: float = 0, **more: Any
) -> dict[str, Any]:
    """A rectangle, in percent of the image, turned by degrees around its first corner."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": turned, "rectanglelabels": ["Cat"]}
    return {**_entry(number, "rectanglelabels", "rect", value), **more}


def predict(*result: dict[str, Any], task: int, config: str = BRUSH, **more: Any) -> dict[str, Any]:
    """An interactive body; further arguments become fields of its task, `project` and `data` among them."""
    project, data = more.pop("project", 1), more.pop("data", {"image": f"/data/upload/1/{task}.png"})
    return {
        "tasks": [{"id": task, "data": data, "annotations": [], "drafts": [], "predictions": [], **more}],
        "project": f"{project}.1700000000",
        "label_config": config,
        "params": {"login": None, "password": None, "context": {"result": list(result)}},
    }


def opened(*tasks: int) -> dict[str, Any]:
    """A body in which nothing was clicked."""
    bodies = [predict(task=task) for task in tasks]
    return {
        **bodies[0],
        "tasks": [body["tasks"][0] for body in bodies],
        "params": {"login": None, "password": None, "context": None},
    }


def _entry(number: str, kind: str, from_name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number,
        "type": kind,
        "from_name": from_name,
        "to_name": "image",
        "original_width": SIZE[0],
        "original_height": SIZE[1],
        "image_rotation": 0,
        "origin": "manual",
        "value": value,
    }
