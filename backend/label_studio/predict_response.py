"""Writes a mask as the regions of a suggestion: brush, polygon, or both, as the config has controls for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.label_studio.label_config import BRUSH, Control
from backend.label_studio.mask_formats import polygon, rle
from backend.label_studio.predict_request import Prompt
from backend.label_studio.region_meta import RegionMeta
from model.click import Click


@dataclass(frozen=True)
class Answer:
    """What the model says about one prompt.

    Attributes:
        mask: HxW bool, H and W those of the prompt.
        score: confidence, 0 to 1.
        version: name of the model version that made it.
        region_id: id of its first region; that of the region it replaces when it is accepted, or a new one.
        prompts: region ids of all prompts that made it, also those of a region which is being replaced.
        clicks: all clicks that it obeys, in pixels, the earliest first.
    """

    mask: np.ndarray
    score: float
    version: str
    region_id: str
    prompts: tuple[str, ...] = ()
    clicks: tuple[Click, ...] = ()


@dataclass(frozen=True)
class Suggestion:
    """An answer as Label Studio shows it; without regions it clears the suggestion before.

    Attributes:
        regions: results of Label Studio, none for an empty mask.
        score: confidence, 0 to 1.
        version: name of the model version that made it, "" where none did.
    """

    regions: tuple[dict[str, Any], ...] = ()
    score: float = 0.0
    version: str = ""

    @staticmethod
    def of(prompt: Prompt, controls: Sequence[Control], answer: Answer, tolerance: float = 1.0) -> Suggestion:
        """Write an answer as regions, one for each of some controls.

        The first region has the id of the answer, the ids of the others are derived from it.

        Args:
            controls: those that take the mask, see `LabelConfig.outputs`.
            tolerance: of polygons, in pixels.

        Raises:
            ValueError: the mask has another size than the prompt's image.
        """
        if answer.mask.shape != (prompt.height, prompt.width):
            height, width = answer.mask.shape
            raise ValueError(f"the mask is {width}x{height} but the image is {prompt.width}x{prompt.height}")
        if not answer.mask.any():
            return Suggestion((), answer.score, answer.version)
        ids = [answer.region_id, *(f"{answer.region_id}-{n}" for n in range(2, len(controls) + 1))]
        regions = [
            _region(prompt, answer, control, region_id, _value(control, answer.mask, tolerance))
            for region_id, control in zip(ids, controls, strict=True)
        ]
        return Suggestion(tuple(regions), answer.score, answer.version)


def prediction(suggestions: Sequence[Suggestion], version: str) -> dict[str, Any]:
    """Return one entry of ``results`` that holds all suggestions of a request.

    Args:
        version: named where no suggestion has regions.
    """
    made_by = next(
        (suggestion.version for suggestion in reversed(suggestions) if suggestion.regions), version
    )
    return {
        "result": [region for suggestion in suggestions for region in suggestion.regions],
        "score": min((float(suggestion.score) for suggestion in suggestions), default=0.0),
        "model_version": made_by,
    }


def fresh_id(prompt: Prompt, version: str) -> str:
    """Return the id of a new object: ``cm`` and 12 hexadecimal digits, other ones for every other prompt.

    It is a function of the prompt and the model version, so that repeating a request repeats the answer.
    """
    box = (prompt.box.left, prompt.box.top, prompt.box.right, prompt.box.bottom) if prompt.box else None
    clicks = [(click.x, click.y, click.positive) for click in prompt.clicks]
    content = [prompt.to_name, prompt.item_index, prompt.labels, prompt.ids, clicks, box, version]
    return f"cm{hashlib.blake2b(json.dumps(content).encode(), digest_size=6).hexdigest()}"


def _value(control: Control, mask: np.ndarray, tolerance: float) -> dict[str, Any]:
    if control.kind == BRUSH:
        return {"format": "rle", "rle": list(rle.encode(mask))}
    return {"points": polygon.from_mask(mask, tolerance), "closed": True}


def _region(
    prompt: Prompt, answer: Answer, control: Control, region_id: str, value: dict[str, Any]
) -> dict[str, Any]:
    prompts = tuple(dict.fromkeys(answer.prompts))
    region = {
        "id": region_id,
        "from_name": control.name,
        "to_name": prompt.to_name,
        "type": control.kind,
        "original_width": prompt.width,
        "original_height": prompt.height,
        "image_rotation": prompt.rotation,
        "value": {**value, control.kind: list(prompt.labels)},
        # Label Studio turns this into "prediction-changed" when the annotator edits the mask.
        "origin": "prediction",
        "score": float(answer.score),
        "meta": RegionMeta(answer.clicks, answer.version, len(prompt.clicks), prompts).to_json(),
    }
    if prompt.item_index is not None:
        region["item_index"] = prompt.item_index
    return region
