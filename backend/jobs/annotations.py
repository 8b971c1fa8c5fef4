"""Annotations of Label Studio as objects to evaluate on: from an export file or straight from a project."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from backend.label_studio.client import LabelStudio
from backend.label_studio.label_config import ImageTag, LabelConfig, LabelConfigError
from backend.label_studio.mask_regions import AcceptedObject, accepted, objects
from model.evaluation.datasets import DatasetError
from model.scene import Sample, Scene

Fetch = Callable[[str, int | None], np.ndarray]


def read_export(path: Path, config: LabelConfig | None, fetch: Fetch, min_area: int = 1) -> list[Sample]:
    """The objects of an export in Label Studio's format JSON (not JSON-MIN).

    Args:
        path: the file.
        config: of the project; None where every task has just one value, its image.
        fetch: (address, task id) -> HxWx3 uint8 RGB, called when a sample is loaded.
        min_area: smaller objects (pixels) are left out.

    Raises:
        DatasetError: no such export, no object in it, or an object that cannot be read.
    """
    try:
        tasks = json.loads(path.read_text())
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON ({error})") from error
    if not isinstance(tasks, list) or not all(isinstance(t, dict) and "data" in t for t in tasks):
        raise DatasetError(f"{path}: not an export of tasks; choose the format JSON in Label Studio's export")
    return _samples(str(path), tasks, config, fetch, min_area)


def read_project(client: LabelStudio, project: int, fetch: Fetch, min_area: int = 1) -> list[Sample]:
    """The objects of a project's annotations; arguments and errors as for `read_export`.

    Raises:
        LabelStudioError: Label Studio refuses or does not answer.
        LabelConfigError: the project's labeling config cannot be read.
    """
    config = LabelConfig.parse(client.project(project)["label_config"])
    tasks = client.annotated_tasks(project)
    return _samples(f"project {project}", tasks, config, fetch, min_area)


def _samples(
    where: str, tasks: Iterable[Mapping[str, Any]], config: LabelConfig | None, fetch: Fetch, min_area: int
) -> list[Sample]:
    samples = []
    for task in tasks:
        for item in objects(accepted(choose(task.get("annotations") or ()).get("result") or ())):
            name = f"{task.get('id')}#{item.id}"
            if np.count_nonzero(_mask(name, item)) >= min_area:
                address = _address(name, task, item, config)
                samples.append(
                    Sample(name, partial(_scene, name, item, partial(fetch, address, task.get("id"))))
                )
    if not samples:
        raise DatasetError(f"{where}: no accepted mask of at least {min_area} pixels")
    return samples


def choose(annotations: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The annotation that counts as truth: marked as ground truth, else changed last; never a skipped one."""
    kept = [a for a in annotations if not a.get("was_cancelled")]
    return max(kept, key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or "")), default={})


def _address(name: str, task: Mapping[str, Any], item: AcceptedObject, config: LabelConfig | None) -> str:
    region, data = item.regions[0], task["data"]
    if config is None and len(data) != 1:
        raise DatasetError(
            f"task {name}: its data has the keys {sorted(data)}; give the labeling config, which tells "
            "the image among them"
        )
    try:
        tag = config.image(region.to_name) if config else ImageTag(region.to_name, f"${next(iter(data))}")
        return tag.url(data, region.item_index)
    except LabelConfigError as error:
        raise DatasetError(f"task {name}: {error}") from error


def _mask(name: str, item: AcceptedObject) -> np.ndarray:
    try:
        return item.mask()
    except ValueError as error:
        raise DatasetError(f"task {name}: the mask cannot be read: {error}") from error


def _scene(name: str, item: AcceptedObject, image: Callable[[], np.ndarray]) -> Scene:
    truth, pixels = _mask(name, item), image()
    if pixels.shape[:2] != truth.shape:
        raise DatasetError(
            f"task {name}: annotated on {truth.shape[1]}x{truth.shape[0]} pixels, but its image now has "
            f"{pixels.shape[1]}x{pixels.shape[0]}"
        )
    return Scene(pixels, truth, np.zeros_like(truth))
