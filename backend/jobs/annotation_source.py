"""A Label Studio project as a source of annotations: which there are, and their images and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backend.images.store import ImageError, ImageStore
from backend.jobs.annotations import choose
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.label_studio.mask_regions import AcceptedObject, accepted, objects
from backend.settings import Settings
from fine_tune.data.project_samples import Example, SourceError


class ProjectSource:
    """A Label Studio project as a `fine_tune.data.project_samples.Source`."""

    def __init__(self, project: int, settings: Settings) -> None:
        self._project, self._client = project, LabelStudio(settings)
        self._images = ImageStore(settings, self._client)
        self._tasks: list[dict[str, Any]] | None = None

    def annotations(self) -> list[Mapping[str, Any]]:
        """See `Source`."""
        try:
            self._tasks = self._client.annotated_tasks(self._project)
        except LabelStudioError as error:
            raise SourceError(str(error)) from error
        return [
            {**annotation, "task": task["id"]} for task in self._tasks for annotation in task["annotations"]
        ]

    def examples(self, chosen: set[int], on_problem: Callable[[str], None]) -> Iterator[Example]:
        """See `Source`."""
        try:
            config = LabelConfig.parse(self._record()["label_config"])
        except LabelConfigError as error:
            raise SourceError(str(error)) from error
        for task in self._tasks or ():
            annotation = choose(a for a in task["annotations"] if a["id"] in chosen)
            by_image: dict[tuple[str, int | None], list[AcceptedObject]] = {}
            for item in objects(accepted(annotation.get("result") or ())):
                region = item.regions[0]
                by_image.setdefault((region.to_name, region.item_index), []).append(item)
            for (name, index), items in by_image.items():
                try:
                    url = config.image(name).url(task["data"], index)
                    picture = self._images.get(url, task["id"])
                    masks = [item.mask() for item in items]
                    if any(mask.shape != picture.pixels.shape[:2] for mask in masks):
                        raise ValueError("the masks have another size than the image has now")
                    yield Example(picture.digest, picture.pixels, masks)
                except (ImageError, LabelConfigError, ValueError) as error:
                    if isinstance(error, ImageError):
                        self._record()  # one image may be missing; a Label Studio that is gone has them all
                    on_problem(f"task {task['id']}: {error}")

    def _record(self) -> dict[str, Any]:
        try:
            return self._client.project(self._project)
        except LabelStudioError as error:
            raise SourceError(str(error)) from error
