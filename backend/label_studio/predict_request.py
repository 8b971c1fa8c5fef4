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

from backend.json_fields import Field, RequestError, project_number
from backend.label_studio.config_tree import ImageTag
from backend.label_studio.drafts import SavedWork
from backend.label_studio.label_config import (
    KEYPOINT,
    LABELS,
    PROMPTS,
    RECTANGLE,
    LabelConfig,
    LabelConfigError,
    Output,
    shape_of,
)
from backend.label_studio.prompt_regions import Box, Named, PromptRegion, names_of
from model.click import Click


@dataclass(frozen=True)
class Prompt:
    """Everything the annotator said about one object.

    Attributes:
        labels: label names, normally one; empty where none was selected.
        blank: whether no label is what was selected, as ``allowEmpty`` lets annotators do.
        to_name: name of the image tag.
        controls: names of the controls that made the prompt and gave it labels.
        width, height: size of the image as the browser shows it, pixels.
        clicks: in the order they were made, pixels of that image.
        click_ids: Label Studio's region id of each click.
        box: the rectangle, if one was drawn.
        box_id: its region id, or "".
        rotation: ``image_rotation`` in degrees, to be echoed.
        item_index: position in a multi-image tag, or None.
        ignored: region ids in the request that are no prompts of this object.
        moved: True where every click already belongs to an accepted mask, so that one of them was moved.
    """

    labels: tuple[str, ...]
    to_name: str
    controls: tuple[str, ...]
    width: int
    height: int
    clicks: tuple[Click, ...] = ()
    click_ids: tuple[str, ...] = ()
    box: Box | None = None
    box_id: str = ""
    rotation: float = 0
    item_index: int | None = None
    ignored: tuple[str, ...] = ()
    moved: bool = False
    blank: bool = False

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
        return f"{'+'.join(self.labels) or 'no label'} on {self.to_name}: {' '.join(parts)}{ignored}"


@dataclass(frozen=True)
class Task:
    """A task of the request: its data, and the annotations and drafts that Label Studio holds for it."""

    id: int | None
    data: dict[str, Any]
    saved: SavedWork = field(default=SavedWork(), repr=False)


@dataclass(frozen=True)
class PredictRequest:
    """A parsed ``/predict`` body.

    Attributes:
        tasks: any number in a batch call, exactly one in an interactive call.
        project_id: number of the Label Studio project, or None where the caller gave none.
        config: the labeling config, as the first task has it.
        context: None for a batch call (nothing was clicked), else the prompts, one per object; empty when Label
            Studio asked with nothing to answer.
        event: what happened instead of a click, such as "prewarm"; "" normally.
        other_kinds: types of results in the context that are no prompts.
        xml: the labeling config as text.
    """

    tasks: tuple[Task, ...]
    project_id: int | None
    config: LabelConfig
    context: tuple[Prompt, ...] | None
    event: str = ""
    other_kinds: tuple[str, ...] = ()
    xml: str = field(default="", repr=False)

    @staticmethod
    def parse(body: Any) -> PredictRequest:
        """Read a decoded JSON body.

        Raises:
            RequestError: with the path of the field, its value and what to send instead.
        """
        root = Field(body)
        tasks = tuple(_task(task) for task in root["tasks"].items())
        config = _config(root["label_config"], tasks[0].data if tasks else {})
        project, params = _project(root["project"]), root["params"]
        context = Field(None) if params.absent else params["context"]
        if context.absent:
            xml = "" if root["label_config"].absent else root["label_config"].text()
            return PredictRequest(tasks, project, config, None, xml=xml)
        if len(tasks) != 1:
            raise RequestError("tasks", f"got {len(tasks)} tasks with a context; send exactly one")
        result, event = context["result"], context["event"]
        entries = [] if result.absent and not event.absent else result.items()
        if not entries:
            return PredictRequest(tasks, project, config, (), "" if event.absent else event.text())
        if root["label_config"].absent:
            raise root["label_config"].fail("the labeling config of the project, as XML")
        prompts = tuple(_prompts(entries, tasks[0], config))
        return PredictRequest(tasks, project, config, prompts, "", _other_kinds(entries))

    def config_of(self, task: Task) -> LabelConfig:
        """Return the config as one of several tasks has it, which differs by its Repeaters; LabelConfigError."""
        return LabelConfig.parse(self.xml, task.data) if self.xml else self.config

    def outputs(self, prompt: Prompt) -> tuple[Output, ...]:
        """Return where the mask of a prompt goes; LabelConfigError when the labeling config has no place for it."""
        return self.config.asked_with(prompt.controls).outputs(prompt.to_name, prompt.labels)

    def nameless(self, prompt: Prompt) -> bool:
        """Tell whether the annotator wants a mask without a label, and the labeling config has a place for it."""
        return prompt.blank and self.config.blank(prompt.to_name)

    def image_url(self, prompt: Prompt) -> str:
        """Return the address of the image that was clicked; LabelConfigError when the task has none."""
        return self.config.image(prompt.to_name).url(self.tasks[0].data, prompt.item_index)

    def image_urls(self, task: Task) -> list[str]:
        """Return the addresses of all images of a task that have one, for prefetching."""
        return [url for tag in self.config.images for url in _urls(tag, task)]


def _task(task: Field) -> Task:
    number = task["id"]
    return Task(
        id=None if number.absent else number.integer(0, 2**63 - 1),
        data=task["data"].mapping(),
        saved=SavedWork.read(
            task["annotations"].records(), task["drafts"].records(), task["predictions"].records()
        ),
    )


def _project(project: Field) -> int | None:
    number = project_number(project.value)
    if number is None and not project.absent:
        raise project.fail('the project as "<id>.<created>"')
    return number


def _config(config: Field, data: dict[str, Any]) -> LabelConfig:
    if config.absent:
        return LabelConfig()
    try:
        return LabelConfig.parse(config.text(), data)
    except LabelConfigError as error:
        raise RequestError(config.path, str(error)) from None


def _urls(tag: ImageTag, task: Task) -> Iterator[str]:
    try:
        yield tag.url(task.data)
    except LabelConfigError:
        return


def _prompts(entries: list[Field], task: Task, config: LabelConfig) -> Iterator[Prompt]:
    named = _named(entries)
    requests: dict[tuple[Any, ...], list[PromptRegion]] = {}
    for entry in entries:
        if shape_of(str(entry["type"].value)) in PROMPTS:
            region = PromptRegion.read(entry, named.get(str(entry["id"].value), ()), config.meant)
            if all(tag.name != region.to_name for tag in config.images):
                raise entry["to_name"].fail("the name of an <Image> tag of label_config")
            requests.setdefault((region.to_name, region.labels[:1]), []).append(region)
    for regions in requests.values():
        yield from _objects(regions, task.saved)


def _named(entries: list[Field]) -> dict[str, list[Named]]:
    """Return what elements of another type give to a prompt of the same id, those of <Labels> first."""
    found: dict[str, list[Named]] = {}
    for entry in sorted(entries, key=lambda entry: entry["type"].value != LABELS):
        kind, value = str(entry["type"].value), entry["value"].value
        if kind.endswith(LABELS) and isinstance(value, dict) and isinstance(value.get(kind), list):
            named = str(entry["from_name"].value), names_of(entry.value)
            found.setdefault(str(entry["id"].value), []).append(named)
    return found


def _other_kinds(entries: list[Field]) -> tuple[str, ...]:
    kinds = dict.fromkeys(str(entry["type"].value) for entry in entries)
    return tuple(kind for kind in kinds if shape_of(kind) not in PROMPTS)


def _objects(regions: list[PromptRegion], saved: SavedWork) -> Iterator[Prompt]:
    """Yield the objects that prompts of one tag and first label are about; some are none, wherever they are.

    The editor sends those of all images of a tag, also what was drawn by hand there.
    """
    # When every prompt already belongs to an accepted mask, the annotator moved one of them: all are meant.
    used = {KEYPOINT: saved.used_clicks, RECTANGLE: saved.made_from}
    live = [region for region in regions if region.id not in used[region.shape]]
    points = _polarised([region for region in live or regions if region.shape == KEYPOINT], saved)
    # Nothing marks the rectangle that was just drawn, but it is the last.
    boxes = [region for region in live or regions if region.shape == RECTANGLE][-1:]
    groups: dict[tuple[Any, ...], list[PromptRegion]] = {}
    for region in regions:
        groups.setdefault(region.group, []).append(region)
    for key, group in groups.items():
        clicks = [(point, positive) for point, positive in points if point.group == key]
        drawn = [box for box in boxes if box.group == key]
        if clicks or drawn:
            yield _prompt(group, clicks, drawn, moved=not live)


def _prompt(
    group: list[PromptRegion],
    points: list[tuple[PromptRegion, bool]],
    boxes: list[PromptRegion],
    moved: bool,
) -> Prompt:
    meant = [region for region, _ in points] + boxes
    return Prompt(
        labels=meant[-1].labels,
        to_name=meant[-1].to_name,
        controls=meant[-1].controls,
        width=meant[-1].width,
        height=meant[-1].height,
        clicks=tuple(region.click(positive) for region, positive in points),
        click_ids=tuple(region.id for region, _ in points),
        box=boxes[0].box() if boxes else None,
        box_id=boxes[0].id if boxes else "",
        rotation=meant[-1].rotation,
        item_index=meant[-1].item_index,
        ignored=tuple(region.id for region in group if all(region is not other for other in meant)),
        moved=moved,
        blank=meant[-1].blank,
    )


def _polarised(points: list[PromptRegion], saved: SavedWork) -> list[tuple[PromptRegion, bool]]:
    """Pair keypoints with their polarity; those without one are drawn by hand, unless none has one."""
    flags = [saved.polarities.get(p.id) if p.positive is None else p.positive for p in points]
    if all(flag is None for flag in flags):
        return [(point, True) for point in points]
    return [(point, flag) for point, flag in zip(points, flags, strict=True) if flag is not None]
