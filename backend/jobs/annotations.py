"""Reads the annotations of Label Studio, from an export file or from a project, to evaluate on and to train on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from backend.images.address import ImageError
from backend.images.store import ImageStore
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.config_tree import ImageTag
from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.label_studio.mask_regions import AcceptedObject, accepted, objects
from backend.label_studio.task_states import annotated, listed
from backend.settings import Settings
from fine_tune.data.lazy_sequence import LazySequence
from fine_tune.data.project_samples import LabelledImage, SourceError
from model.evaluation.datasets import DatasetError
from model.scene import Sample, Scene

logger = logging.getLogger(__name__)

Fetch = Callable[[str, int | None], np.ndarray]


def read_export(path: Path, config: str | None, fetch: Fetch, min_area: int = 1) -> list[Sample]:
    """Read the objects of an export in Label Studio's format JSON (not JSON-MIN).

    Args:
        path: the file.
        config: the project's labeling config (XML); None where every task has just one value, its image.
        fetch: (address, task id) -> HxWx3 uint8 RGB, called when a sample is loaded.
        min_area: smaller objects (pixels) are left out.

    Raises:
        DatasetError: no such export, or no object in it that can be read. One that cannot is left out with a warning.
    """
    try:
        tasks = json.loads(path.read_bytes())  # whatever the locale is, and with a byte order mark, too
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON ({error})") from error
    if not isinstance(tasks, list) or not all(isinstance(t, dict) and "data" in t for t in tasks):
        raise DatasetError(f"{path}: not an export of tasks; choose the format JSON in Label Studio's export")
    return _samples(str(path), tasks, config, fetch, min_area)


def read_project(client: LabelStudio, project: int, fetch: Fetch, min_area: int = 1) -> list[Sample]:
    """Read the objects of a project's annotations; arguments and errors as for `read_export`.

    Raises:
        LabelStudioError: Label Studio refuses or does not answer.
        LabelConfigError: the project's labeling config cannot be read.
    """
    config = client.project(project)["label_config"]
    LabelConfig.parse(config)  # the trouble with it is not that of a task
    return _samples(f"project {project}", annotated(client, project), config, fetch, min_area)


def _samples(
    where: str, tasks: Iterable[Mapping[str, Any]], config: str | None, fetch: Fetch, min_area: int
) -> list[Sample]:
    samples = []
    for task in tasks:
        for item in objects(accepted(choose(task.get("annotations") or ()).get("result") or ())):
            name = f"{task.get('id')}#{item.id}"
            try:
                counts = np.count_nonzero(_mask(name, item)) >= min_area
            except DatasetError as error:  # the other objects are sound
                logger.warning("an object is left out: %s", error)
                continue
            if counts:
                address = _address(name, task, item, config)
                samples.append(
                    Sample(name, partial(_scene, name, item, partial(fetch, address, task.get("id"))))
                )
    if not samples:
        raise DatasetError(f"{where}: no accepted mask of at least {min_area} pixels")
    return samples


def choose(annotations: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Choose the annotation that counts as truth: marked as ground truth, else changed last; never a skipped one."""
    kept = [a for a in annotations if not a.get("was_cancelled")]
    return max(kept, key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or "")), default={})


def _address(name: str, task: Mapping[str, Any], item: AcceptedObject, config: str | None) -> str:
    region, data = item.regions[0], task["data"]
    if config is None and len(data) != 1:
        raise DatasetError(
            f"task {name}: its data has the keys {sorted(data)}; give the labeling config, which tells "
            "the image among them"
        )
    try:
        tag = (
            LabelConfig.parse(config, data).image(region.to_name)
            if config
            else ImageTag(region.to_name, f"${next(iter(data))}")
        )
        return tag.url(data, region.item_index)
    except LabelConfigError as error:
        raise DatasetError(f"task {name}: {error}") from error


def _mask(name: str, item: AcceptedObject) -> np.ndarray:
    try:
        return item.mask()
    except ValueError as error:
        raise DatasetError(f"task {name}: the mask cannot be read: {error}") from error


def _scene(name: str, item: AcceptedObject, image: Callable[[], np.ndarray]) -> Scene:
    pixels = image()
    truth = _mask(name, item.fitted(*pixels.shape[:2]))
    if pixels.shape[:2] != truth.shape:
        raise DatasetError(
            f"task {name}: annotated on {truth.shape[1]}x{truth.shape[0]} pixels, but its image now has "
            f"{pixels.shape[1]}x{pixels.shape[0]}"
        )
    return Scene(pixels, truth, np.zeros_like(truth))


def _proposable(config: LabelConfig, item: AcceptedObject) -> str | None:
    """Return an object's label, "" for none; None where no proposal can have it, as one that was removed."""
    region = item.regions[0]
    label = next(iter(region.labels), "")
    try:
        config.named(region.to_name, (label,) if label else ())
    except LabelConfigError:
        return None
    return label


class ProjectSource:
    """Reads a Label Studio project for training; a `fine_tune.data.project_samples.Source`."""

    def __init__(self, project: int, settings: Settings) -> None:
        self._project, self._client = project, LabelStudio(settings)
        self._images = ImageStore(settings, self._client, gives_up=True)

    def annotations(self) -> ProjectAnnotations:
        """List the annotations of the project as they are now; see `Source`."""
        try:
            tasks = list(listed(self._client, self._project))
        except LabelStudioError as error:
            raise SourceError(str(error)) from error
        return ProjectAnnotations(self._project, tasks, self._client, self._images)


class ProjectAnnotations:
    """Reads the annotations of some tasks, a few tasks at once; an `AnnotationList`.

    The masks of a whole project may be gigabytes: they are let go as soon as they are used.
    """

    def __init__(self, project: int, tasks: Sequence[int], client: LabelStudio, images: ImageStore) -> None:
        self._project, self._tasks, self._client, self._images = project, tasks, client, images
        self._task_of: dict[int, int] = {}

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield every annotation with its task's number; see `AnnotationList`."""
        for task in self._exported(self._tasks):
            for annotation in task["annotations"]:
                self._task_of[annotation["id"]] = task["id"]
                yield {**annotation, "task": task["id"]}

    def images(self, chosen: set[int], on_problem: Callable[[str], None]) -> Iterator[LabelledImage]:
        """Yield the images of the chosen annotations with their masks; see `AnnotationList`."""
        config = self._record()["label_config"]
        try:
            LabelConfig.parse(config)
        except LabelConfigError as error:
            raise SourceError(str(error)) from error
        needed = {self._task_of.get(annotation) for annotation in chosen}
        for task in self._exported([t for t in self._tasks if t in needed or None in needed]):
            annotation = choose(a for a in task["annotations"] if a["id"] in chosen)
            by_image: dict[tuple[str, int], list[AcceptedObject]] = {}
            try:
                known = LabelConfig.parse(config, task["data"])
            except LabelConfigError as error:
                on_problem(f"task {task['id']}: {error}")
                continue
            for item in objects(accepted(annotation.get("result") or (), known.remarks)):
                region = item.regions[0]
                by_image.setdefault(region.image, []).append(item)
            for (name, index), items in by_image.items():
                try:
                    tag = known.image(name)
                    yield self._image(tag.url(task["data"], index), task["id"], items, known)
                except (ImageError, LabelConfigError, ValueError) as error:
                    if isinstance(error, ImageError):
                        self._record()  # one image may be missing; a Label Studio that is gone has them all
                    on_problem(f"task {task['id']}: {error}")

    def _image(
        self, url: str, task: int, items: Sequence[AcceptedObject], config: LabelConfig
    ) -> LabelledImage:
        picture = self._images.get(url, task)
        self._images.forget(url, task)  # it is used once
        sound, problems, size = list[AcceptedObject](), list[str](), picture.pixels.shape[:2]
        for item in items:
            try:
                item = item.fitted(*size)
                if (drawn := item.size()) != size:
                    raise ValueError(
                        f"drawn on {drawn[1]}x{drawn[0]} pixels, but the image now has {size[1]}x{size[0]}"
                    )
                sound.append(item)
            except ValueError as error:  # the other objects of the image are sound
                problems.append(f"task {task}, region {item.id}: {error}")
        if not sound:
            raise ValueError(f"none of its masks can be used; the first one: {problems[0]}")
        labels = [_proposable(config, item) for item in sound]
        # Hundreds of masks as large as the image would be gigabytes.
        masks = LazySequence(sound, AcceptedObject.mask)
        return LabelledImage(picture.digest, picture.pixels, masks, labels, problems, f"task {task}")

    def _exported(self, tasks: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the tasks with their annotations."""
        try:
            yield from self._client.annotated_among(self._project, tasks)
        except LabelStudioError as error:
            raise SourceError(str(error)) from error

    def _record(self) -> dict[str, Any]:
        try:
            return self._client.project(self._project)
        except LabelStudioError as error:
            raise SourceError(str(error)) from error
