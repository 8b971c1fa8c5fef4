"""A mask as Label Studio regions: brush RLE, polygons, or both, as the labeling config has controls for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.label_studio.label_config import BRUSH, Control, LabelConfig
from backend.label_studio.mask_formats import polygon, rle
from backend.label_studio.predict_request import Prompt


@dataclass(frozen=True)
class Answer:
    """What the model says about one prompt.

    Attributes:
        mask: HxW bool, H and W those of the prompt.
        score: confidence, 0 to 1.
        model_version: name of the model version that made it.
        region_id: object id of the region to replace when the answer is accepted, None for a new object.
        earlier_prompts: region ids of the prompts that made the region which is being replaced.
        meta: further entries for the region's ``meta``; must survive JSON.
    """

    mask: np.ndarray
    score: float
    model_version: str
    region_id: str | None = None
    earlier_prompts: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)


def to_regions(
    prompt: Prompt, config: LabelConfig, answer: Answer, tolerance: float = 1.0
) -> list[dict[str, Any]]:
    """Return the regions for one answer; an empty list for an empty mask.

    The first region has the id of the region to replace, or a fresh one; where the config has brush and polygon, the
    other's id is derived from it. Ids are a function of the prompt and the model version, so that repeating a request
    repeats the answer.

    Args:
        tolerance: of polygons, in pixels.

    Raises:
        LabelConfigError: no control takes this label on this image; the sentence says what to add.
        ValueError: the mask has another size than the prompt's image.
    """
    controls = config.outputs(prompt.to_name, prompt.labels)
    if answer.mask.shape != (prompt.height, prompt.width):
        height, width = answer.mask.shape
        raise ValueError(f"the mask is {width}x{height} but the image is {prompt.width}x{prompt.height}")
    if not answer.mask.any():
        return []
    values = [(control, _value(control, answer.mask, tolerance)) for control in controls]
    object_id = answer.region_id or fresh_id(prompt, answer.model_version)
    ids = [object_id, *(f"{object_id}-{number}" for number in range(2, len(values) + 1))]
    return [
        _region(prompt, answer, control, {"id": region_id, "value": value})
        for region_id, (control, value) in zip(ids, values, strict=True)
    ]


def prediction(regions: list[dict[str, Any]], score: float, model_version: str) -> dict[str, Any]:
    """Return one entry of ``results``; ``regions`` may be empty, which clears the pending suggestion."""
    return {"result": regions, "score": float(score), "model_version": model_version}


def fresh_id(prompt: Prompt, model_version: str) -> str:
    """Return an id that no other prompt has: ``cm`` and 12 hexadecimal digits."""
    box = (prompt.box.left, prompt.box.top, prompt.box.right, prompt.box.bottom) if prompt.box else None
    clicks = [(click.x, click.y, click.positive) for click in prompt.clicks]
    content = [prompt.to_name, prompt.item_index, prompt.labels, prompt.ids, clicks, box, model_version]
    return f"cm{hashlib.blake2b(json.dumps(content).encode(), digest_size=6).hexdigest()}"


def _value(control: Control, mask: np.ndarray, tolerance: float) -> dict[str, Any]:
    if control.kind == BRUSH:
        return {"format": "rle", "rle": list(rle.encode(mask))}
    return {"points": polygon.from_mask(mask, tolerance), "closed": True}


def _region(prompt: Prompt, answer: Answer, control: Control, part: dict[str, Any]) -> dict[str, Any]:
    region = {
        "id": part["id"],
        "from_name": control.name,
        "to_name": prompt.to_name,
        "type": control.kind,
        "original_width": prompt.width,
        "original_height": prompt.height,
        "image_rotation": prompt.rotation,
        "value": {**part["value"], control.kind: list(prompt.labels)},
        # Label Studio turns this into "prediction-changed" when the annotator edits the mask.
        "origin": "prediction",
        "score": float(answer.score),
        "meta": {
            **answer.meta,
            "model_version": answer.model_version,
            "clicks": len(prompt.clicks),
            "prompts": [*dict.fromkeys((*answer.earlier_prompts, *prompt.ids))],
        },
    }
    if prompt.item_index is not None:
        region["item_index"] = prompt.item_index
    return region
