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
from fine_tune.data.project_samples import LabelledImage, SourceError


class ProjectSource:
    """A Label Studio project as a `fine_tune.data.project_samples.Source`."""

    def __init__(self, project: int, settings: Settings) -> None:
        self._project, self._client = project, LabelStudio(settings)
        self._images = ImageStore(settings, self._client)

    def annotations(self) -> ProjectAnnotations:
        """See `Source`."""
        try:
            tasks = self._client.annotated_tasks(self._project)
        except LabelStudioError as error:
            raise SourceError(str(error)) from error
        return ProjectAnnotations(self._project, tasks, self._client, self._images)


class ProjectAnnotations:
    """The annotations of a project at one moment, an `AnnotationList`."""

    def __init__(
        self, project: int, tasks: list[dict[str, Any]], client: LabelStudio, images: ImageStore
    ) -> None:
        self._project, self._tasks, self._client, self._images = project, tasks, client, images

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """See `AnnotationList`."""
        for task in self._tasks:
            for annotation in task["annotations"]:
                yield {**annotation, "task": task["id"]}

    def images(self, chosen: set[int], on_problem: Callable[[str], None]) -> Iterator[LabelledImage]:
        """See `AnnotationList`."""
        try:
            config = LabelConfig.parse(self._record()["label_config"])
        except LabelConfigError as error:
            raise SourceError(str(error)) from error
        for task in self._tasks:
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
                    yield LabelledImage(picture.digest, picture.pixels, masks)
                except (ImageError, LabelConfigError, ValueError) as error:
                    if isinstance(error, ImageError):
                        self._record()  # one image may be missing; a Label Studio that is gone has them all
                    on_problem(f"task {task['id']}: {error}")

    def _record(self) -> dict[str, Any]:
        try:
            return self._client.project(self._project)
        except LabelStudioError as error:
            raise SourceError(str(error)) from error
