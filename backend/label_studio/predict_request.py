"""The body of ``/predict`` as typed prompts: what the annotator clicked, on which image, for which label.

The rules of Label Studio's browser side that decide how a body is read (observed with 1.23):

* ``context`` null asks for batch predictions, ``{"result": []}`` is an interactive call with nothing to answer;
* a call repeats all keypoints of one label, and some lack ``is_positive``: those restored from a draft, whose
  polarity is still in the draft, and those drawn by hand, which are no prompts;
* keypoints of a mask that was accepted with the small button on the canvas stay in the annotation and are sent
  again with the next object; the accepted mask's ``meta.prompts`` tells which they are;
* positions are percentages of the image as the browser shows it, that is with its EXIF orientation applied, and
  stay in that frame when the view is rotated (``image_rotation`` is only echoed).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from backend.label_studio.json_fields import Field, RequestError
from backend.label_studio.label_config import KEYPOINT, RECTANGLE, ImageTag, LabelConfig, LabelConfigError
from backend.label_studio.prompt_regions import Box, Item, elements, polarity
from model.click import Click

__all__ = ["Box", "PredictRequest", "Prompt", "RequestError", "Task"]


@dataclass(frozen=True)
class Prompt:
    """Everything the annotator said about one object.

    Attributes:
        labels: label names, normally one.
        to_name: name of the image tag.
        from_name: name of the control that made the prompt.
        width, height: size of the image as the browser shows it, pixels.
        clicks: in the order they were made, pixels of that image.
        click_ids: Label Studio's region id of each click.
        box: the rectangle, if one was drawn.
        box_id: its region id, or "".
        rotation: ``image_rotation`` in degrees, to be echoed.
        item_index: position in a multi-image tag, or None.
        ignored: region ids in the request that are no prompts of this object.
    """

    labels: tuple[str, ...]
    to_name: str
    from_name: str
    width: int
    height: int
    clicks: tuple[Click, ...] = ()
    click_ids: tuple[str, ...] = ()
    box: Box | None = None
    box_id: str = ""
    rotation: float = 0
    item_index: int | None = None
    ignored: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Region ids of everything this prompt consists of."""
        return self.click_ids + ((self.box_id,) if self.box_id else ())

    def summary(self) -> str:
        """Return what was understood, for a log line."""
        parts = [f"{'+' if click.positive else '-'}({click.x:.0f},{click.y:.0f})" for click in self.clicks]
        if self.box:
            parts.insert(
                0, f"box({self.box.left:.0f},{self.box.top:.0f},{self.box.right:.0f},{self.box.bottom:.0f})"
            )
        ignored = f", {len(self.ignored)} ignored" if self.ignored else ""
        return f"{'+'.join(self.labels)} on {self.to_name}: {' '.join(parts)}{ignored}"


@dataclass(frozen=True)
class Task:
    """A task of the request: its data, and the results that Label Studio holds for it."""

    id: int | None
    data: dict[str, Any]
    annotations: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    drafts: tuple[dict[str, Any], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class PredictRequest:
    """A parsed ``/predict`` body.

    Attributes:
        tasks: any number in a batch call, exactly one in an interactive call.
        project_id: number of the Label Studio project, or None where the caller gave none.
        config: the labeling config.
        context: None for a batch call (nothing was clicked), else the prompts, one per object; empty when Label
            Studio asked with nothing to answer.
    """

    tasks: tuple[Task, ...]
    project_id: int | None
    config: LabelConfig
    context: tuple[Prompt, ...] | None

    @staticmethod
    def parse(body: Any) -> PredictRequest:
        """Read a decoded JSON body.

        Raises:
            RequestError: with the path of the field, its value and what to send instead.
        """
        root = Field(body)
        tasks = tuple(_task(task) for task in root["tasks"].items())
        config = _config(root["label_config"])
        params = root["params"]
        context = Field(None) if params.absent else params["context"]
        prompts = None
        if not context.absent:
            if len(tasks) != 1:
                raise RequestError("tasks", f"got {len(tasks)} tasks with a context; send exactly one")
            prompts = tuple(_prompts(context["result"], tasks[0], config))
        return PredictRequest(tasks, _project(root["project"]), config, prompts)

    def image_url(self, task: Task, to_name: str, item_index: int | None = None) -> str:
        """Return the address of the image that ``to_name`` shows; RequestError when there is none."""
        try:
            return self.config.image(to_name).url(task.data, item_index)
        except LabelConfigError as error:
            raise RequestError(f"tasks[{self.tasks.index(task)}].data", str(error)) from None

    def image_urls(self, task: Task) -> list[str]:
        """Return the addresses of all images of a task that have one, for prefetching."""
        return [url for tag in self.config.images for url in _urls(tag, task)]


def _task(task: Field) -> Task:
    number = task["id"]
    return Task(
        id=None if number.absent else number.integer(0, 2**63 - 1),
        data=task["data"].mapping(),
        annotations=task["annotations"].records(),
        drafts=task["drafts"].records(),
    )


def _project(project: Field) -> int | None:
    # Label Studio sends "<id>.<unix time of creation>".
    if project.absent:
        return None
    head = str(project.value).split(".")[0]
    if isinstance(project.value, bool) or not head.isdecimal():
        raise project.fail('the project as "<id>.<created>"')
    return int(head)


def _config(config: Field) -> LabelConfig:
    if config.absent:
        return LabelConfig()
    try:
        return LabelConfig.parse(config.text())
    except LabelConfigError as error:
        raise RequestError(config.path, str(error)) from None


def _urls(tag: ImageTag, task: Task) -> Iterator[str]:
    try:
        yield tag.url(task.data)
    except LabelConfigError:
        return


def _prompts(result: Field, task: Task, config: LabelConfig) -> Iterator[Prompt]:
    groups: dict[tuple[Any, ...], list[Item]] = {}
    for entry in result.items():
        if entry["type"].value in (KEYPOINT, RECTANGLE):
            item = Item.read(entry)
            if all(tag.name != item.to_name for tag in config.images):
                raise entry["to_name"].fail("the name of an <Image> tag of label_config")
            groups.setdefault(item.group, []).append(item)
    memory = _Memory(task)
    for group in groups.values():
        yield _prompt(group, memory)


class _Memory:
    """What the task's drafts and annotations say about prompts: lost polarities, and which ones are used up."""

    def __init__(self, task: Task) -> None:
        self.polarity: dict[str, bool] = {}
        self.spent: set[str] = set()
        # Drafts last: they are newer than the annotation they change.
        for holder in (*task.annotations, *task.drafts):
            for entry in elements(holder.get("result")):
                if isinstance(entry, dict):
                    self._remember(entry)

    def _remember(self, entry: dict[str, Any]) -> None:
        positive = polarity(entry)
        if positive is not None:
            self.polarity[str(entry.get("id"))] = positive
        meta = entry.get("meta")
        if isinstance(meta, dict):
            self.spent.update(map(str, elements(meta.get("prompts"))))


def _prompt(group: list[Item], memory: _Memory) -> Prompt:
    # When every prompt already belongs to an accepted mask, the annotator moved one of them: all are meant.
    live = [item for item in group if item.id not in memory.spent] or group
    points = _polarised([item for item in live if item.kind == KEYPOINT], memory)
    # Nothing marks the rectangle that was just drawn, but it is the last.
    boxes = [item for item in live if item.kind == RECTANGLE][-1:]
    used = [item for item, _ in points] + boxes
    return Prompt(
        labels=used[-1].labels,
        to_name=used[-1].to_name,
        from_name=used[-1].from_name,
        width=used[-1].width,
        height=used[-1].height,
        clicks=tuple(item.click(positive) for item, positive in points),
        click_ids=tuple(item.id for item, _ in points),
        box=boxes[0].box() if boxes else None,
        box_id=boxes[0].id if boxes else "",
        rotation=used[-1].rotation,
        item_index=used[-1].item_index,
        ignored=tuple(item.id for item in group if all(item is not other for other in used)),
    )


def _polarised(points: list[Item], memory: _Memory) -> list[tuple[Item, bool]]:
    """Pair keypoints with their polarity; those without one are drawn by hand, unless none has one."""
    flags = [memory.polarity.get(item.id) if item.positive is None else item.positive for item in points]
    if all(flag is None for flag in flags):
        return [(item, True) for item in points]
    return [(item, flag) for item, flag in zip(points, flags, strict=True) if flag is not None]
