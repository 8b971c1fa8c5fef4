"""Writes a mask as the regions of a suggestion: brush, bitmask or polygon, as the config has controls for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.label_studio.drafts import SavedWork
from backend.label_studio.label_config import (
    BITMASK,
    BRUSH,
    LABELS,
    MASKS,
    PROMPTS,
    WAND,
    Control,
    Output,
    shape_of,
)
from backend.label_studio.mask_formats import bitmask, digest, polygon, rle
from backend.label_studio.predict_request import Prompt
from backend.label_studio.prompt_regions import names_of
from backend.label_studio.region_meta import RegionMeta
from model.click import Click
from model.mask_ops import object_box

NOTHING_SAVED = SavedWork()


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
        proposed: whether the object began as a proposal, and not with an annotator's click.
        expected: of a proposal: its expected IoU and the standard deviation of that; None where it is not known.
    """

    mask: np.ndarray
    score: float
    version: str
    region_id: str
    prompts: tuple[str, ...] = ()
    clicks: tuple[Click, ...] = ()
    proposed: bool = False
    expected: tuple[float, float] | None = None


@dataclass(frozen=True)
class Suggestion:
    """An answer as Label Studio shows it; without regions it clears the suggestion before.

    Attributes:
        regions: results as Label Studio keeps them, none for an empty mask.
        score: confidence, 0 to 1.
        version: name of the model version that made it, "" where none did.
    """

    regions: tuple[dict[str, Any], ...] = ()
    score: float = 0.0
    version: str = ""

    @staticmethod
    def of(
        prompt: Prompt,
        outputs: Sequence[Output],
        answer: Answer,
        tolerance: float = 1.0,
        saved: SavedWork = NOTHING_SAVED,
        source: str = "",
    ) -> Suggestion:
        """Write an answer as regions, one for each of some outputs.

        The first region has the id of the answer, the ids of the others are derived from it. A region of a control
        without labels has a second result, which names it.

        Args:
            outputs: where the mask goes, see `LabelConfig.outputs`.
            tolerance: of polygons, in pixels.
            saved: what there is of the task; regions keep what annotators have said of those they go on from.
            source: id of the region that the first goes on from, where that has another id than the answer.

        Raises:
            ValueError: the mask has another size than the prompt's image.
        """
        if answer.mask.shape != (prompt.height, prompt.width):
            height, width = answer.mask.shape
            raise ValueError(f"the mask is {width}x{height} but the image is {prompt.width}x{prompt.height}")
        if not answer.mask.any():
            return Suggestion((), answer.score, answer.version)
        results = []
        for number, output in enumerate(outputs, 1):
            part = "" if number == 1 else f"-{number}"
            region = _region(prompt, answer, output, answer.region_id + part, tolerance)
            earlier = saved.results_of((source or answer.region_id) + part)
            results += _keeping(region, earlier, prompt.labels)
        return Suggestion(tuple(results), answer.score, answer.version)


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


def _region(
    prompt: Prompt, answer: Answer, output: Output, region_id: str, tolerance: float
) -> list[dict[str, Any]]:
    """Write one region: its mask, and its name where the mask's control has no labels."""
    value = _value(output.mask, answer.mask, tolerance)
    meta = _meta(prompt, answer, value, output.renamable)
    results = [_result(prompt, answer, output.mask, {"id": region_id, "value": value, "meta": meta})]
    if output.name is not None:
        results.append(_result(prompt, answer, output.name, {"id": region_id, "value": {}, "meta": meta}))
    return results


def _keeping(
    region: list[dict[str, Any]], earlier: list[dict[str, Any]], labels: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return a region's results with what annotators have said of the one that it goes on from.

    That are choices, texts, further labels, its note, and the region that it is part of: the editor drops them where
    it replaces a region.

    Args:
        region: results of the new mask, the mask first.
        earlier: those of the region that it goes on from, none for a new one.
        labels: of the new mask.
    """
    earlier = [entry for entry in earlier if isinstance(entry.get("value"), dict) and "type" in entry]
    mask = next((entry for entry in earlier if shape_of(str(entry["type"])) in (*MASKS, WAND)), None)
    if mask is None:
        return region
    meta = mask.get("meta")
    note = {"text": meta["text"]} if isinstance(meta, dict) and "text" in meta else {}
    part = {"parentID": mask["parentID"]} if mask.get("parentID") else {}
    kept = [{**entry, **part, "meta": {**entry["meta"], **note}} for entry in region]
    made = {entry["from_name"] for entry in region}
    common = {name: told for name, told in kept[0].items() if name != "score"}
    for entry in earlier:
        control = entry.get("from_name")
        if isinstance(control, str) and control not in made and _says_more(entry, labels):
            # The editor repeats the mask in each of them.
            value = {name: said for name, said in entry["value"].items() if name not in mask["value"]}
            kept.append({**common, "from_name": control, "type": entry["type"], "value": value})
    return kept


def _says_more(entry: dict[str, Any], labels: tuple[str, ...]) -> bool:
    """Tell whether a result says something of a region beside its mask and its labels."""
    kind = str(entry["type"])
    if kind == LABELS:
        return not set(names_of(entry)) <= set(labels)
    return shape_of(kind) not in (*MASKS, *PROMPTS, WAND)


def _value(control: Control, mask: np.ndarray, tolerance: float) -> dict[str, Any]:
    if control.shape == BRUSH:
        return {"format": "rle", "rle": list(rle.encode(mask))}
    if control.shape == BITMASK:
        return {"imageDataURL": bitmask.encode(mask)}
    return {"points": polygon.from_mask(mask, tolerance), "closed": True}


def _meta(prompt: Prompt, answer: Answer, value: dict[str, Any], renamable: bool) -> dict[str, Any]:
    box, points = object_box(answer.mask), value.get("points")
    return RegionMeta(
        points=answer.clicks,
        version=answer.version,
        clicks=len(prompt.clicks),
        prompts=tuple(dict.fromkeys(answer.prompts)),
        labels=prompt.labels if renamable else (),
        box=box if renamable else None,
        proposed=answer.proposed,
        expected=answer.expected,
        digest=digest.of_mask(answer.mask, box) if points is None else digest.of_points(points),
    ).to_json()


def _result(prompt: Prompt, answer: Answer, control: Control, part: dict[str, Any]) -> dict[str, Any]:
    value = part["value"]
    result = {
        "id": part["id"],
        "from_name": control.name,
        "to_name": prompt.to_name,
        "type": control.kind,
        "original_width": prompt.width,
        "original_height": prompt.height,
        "image_rotation": prompt.rotation,
        "value": {**value, control.kind: list(prompt.labels)} if control.labelled else value,
        # Label Studio turns this into "prediction-changed" when the annotator edits the mask, or says more of it.
        "origin": "prediction",
        "score": float(answer.score),
        "meta": part["meta"],
    }
    if prompt.item_index is not None:
        result["item_index"] = prompt.item_index
    return result
