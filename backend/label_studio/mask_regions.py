"""Reads masks that annotators have accepted out of Label Studio's results: for corrections and for training."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from backend.label_studio.label_config import BRUSH, POLYGON
from backend.label_studio.mask_formats import polygon, rle
from backend.label_studio.predict_request import Prompt, Task
from backend.label_studio.prompt_regions import MAX_SIDE
from backend.label_studio.region_meta import RegionMeta
from model.click import Click

logger = logging.getLogger(__name__)

# Codes of so many bytes are hand-painted or noise: not worth the memory to keep them decoded.
_LARGE = 1 << 16
# Ids that predict_response.py gives the further regions of an object; Label Studio's own have another form.
_PART = re.compile(r"(cm[0-9a-f]{12})-\d+")


@dataclass(frozen=True)
class MaskRegion:
    """One result that holds a mask: type ``brushlabels`` with an RLE, or ``polygonlabels``.

    Attributes:
        id: Label Studio's region id.
        kind: ``brushlabels`` or ``polygonlabels``.
        labels: label names; empty for an unlabelled region.
        to_name: name of the image tag.
        item_index: position in a multi-image tag, or None.
        height, width: size of the image, pixels.
        value: the result's ``value``.
        meta: how this backend made it, where it did.
        origin: ``manual``, ``prediction`` (accepted untouched) or ``prediction-changed``.
    """

    id: str
    kind: str
    labels: tuple[str, ...]
    to_name: str
    item_index: int | None
    height: int
    width: int
    value: Mapping[str, Any] = field(repr=False)
    meta: RegionMeta = field(default=RegionMeta(), repr=False)
    origin: str = "manual"

    @property
    def object_id(self) -> str:
        """Id shared by the regions that one answer was made of: the id of the first."""
        part = _PART.fullmatch(self.id)
        return part[1] if part else self.id

    def mask(self) -> np.ndarray:
        """Return the mask, HxW bool; soft edges are cut at one half. ValueError when it cannot be decoded."""
        if self.kind == POLYGON:
            return polygon.to_mask(self.value.get("points", ()), self.height, self.width)
        runs = self._runs
        return np.repeat(runs.on, np.diff(runs.ends, prepend=0)).reshape(self.height, self.width)

    def contains(self, x: float, y: float) -> bool:
        """Tell whether the pixel at (x, y) belongs to the mask; cheaper than `mask`.

        Raises:
            ValueError: the mask cannot be decoded.
        """
        row, column = int(y // 1), int(x // 1)
        if not (0 <= row < self.height and 0 <= column < self.width):
            return False
        if self.kind == POLYGON:
            return polygon.covers(self.value.get("points", ()), (self.height, self.width), (row, column))
        runs = self._runs
        return bool(runs.on[np.searchsorted(runs.ends, row * self.width + column, side="right")])

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Left, top, right, bottom around the mask, pixels, ends exclusive; None for an empty one.

        Raises:
            ValueError: the mask cannot be decoded.
        """
        if self.kind != POLYGON:
            return self._runs.box
        points = np.array(self.value.get("points", ()), np.float64).reshape(-1, 2)
        if not points.size:
            return None
        points *= np.array([self.width, self.height]) / 100
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return left, top, right, bottom

    @property
    def _runs(self) -> _Runs:
        code = self.value.get("rle")
        try:
            data = bytes(code) if isinstance(code, list) else None
        except (TypeError, ValueError):
            data = None
        if data is None:
            raise ValueError("an RLE is a list of whole numbers from 0 to 255")
        # Every request brings the accepted masks of its task again.
        read = _Runs.read if len(data) < _LARGE else _Runs.read.__wrapped__
        return read(data, self.height, self.width)


@dataclass(frozen=True)
class _Runs:
    """A decoded brush mask, run by run in row-major order.

    Attributes:
        ends: int64, index of the pixel after each run.
        on: bool, whether the run belongs to the mask.
        box: left, top, right, bottom around the mask; None for an empty one.
    """

    ends: np.ndarray
    on: np.ndarray
    box: tuple[int, int, int, int] | None

    @staticmethod
    @lru_cache(maxsize=1024)
    def read(code: bytes, height: int, width: int) -> _Runs:
        """Decode; ValueError where that is not possible."""
        lengths, values = rle.runs(code, height, width)
        ends, on = np.cumsum(lengths), values > 127
        first, last = (ends - lengths)[on], ends[on] - 1
        if not first.size:
            return _Runs(ends, on, None)
        top, bottom = int(first[0]) // width, int(last[-1]) // width + 1
        if (first // width != last // width).any():  # a run over the edge touches both sides
            return _Runs(ends, on, (0, top, width, bottom))
        return _Runs(ends, on, (int((first % width).min()), top, int((last % width).max()) + 1, bottom))


@dataclass(frozen=True)
class AcceptedObject:
    """All regions of one object: more than one where an answer had brush and polygon."""

    id: str
    regions: tuple[MaskRegion, ...]

    @property
    def prompts(self) -> tuple[str, ...]:
        """Region ids of the prompts that made it."""
        return tuple(dict.fromkeys(prompt for region in self.regions for prompt in region.meta.prompts))

    def mask(self) -> np.ndarray:
        """Return the mask, HxW bool: of the brush regions where there are any, they are more exact than polygons."""
        return np.logical_or.reduce([region.mask() for region in self._best])

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Left, top, right, bottom around the object, pixels; None for an empty one. Errors as for `mask`."""
        boxes = [box for box in (region.box for region in self._best) if box is not None]
        if not boxes:
            return None
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)

    def contains(self, x: float, y: float) -> bool:
        """Tell whether the pixel at (x, y) belongs to the object. Errors as for `mask`."""
        return any(region.contains(x, y) for region in self._best)

    @property
    def _best(self) -> list[MaskRegion]:
        brushes = [region for region in self.regions if region.kind == BRUSH]
        return brushes or list(self.regions)


def accepted(results: Iterable[Any]) -> list[MaskRegion]:
    """Return the masks among the results of an annotation or draft, in order.

    Left out: keypoints and rectangles (also the keypoint result with an RLE that Label Studio adds to a mask which
    was accepted while the keypoint label was selected), regions without a mask, relations and other entries.
    """
    regions = [_region(entry) for entry in results if isinstance(entry, dict)]
    return [region for region in regions if region is not None]


def objects(regions: Iterable[MaskRegion]) -> list[AcceptedObject]:
    """Group regions by object, in order of the first region of each."""
    groups: dict[str, list[MaskRegion]] = {}
    for region in regions:
        groups.setdefault(region.object_id, []).append(region)
    return [AcceptedObject(object_id, tuple(group)) for object_id, group in groups.items()]


def shown(task: Task) -> list[MaskRegion]:
    """Return the accepted masks that the annotator who asks can see, the most recent last."""
    regions: dict[str, MaskRegion] = {}
    for saved in task.saved.shown:
        for region in accepted(saved.results):
            # Keyed with the kind: a brush and a polygon result may share a region.
            regions.pop(f"{region.kind}/{region.id}", None)
            regions[f"{region.kind}/{region.id}"] = region
    return list(regions.values())


def candidates(prompt: Prompt, task: Task) -> list[AcceptedObject]:
    """Return the accepted objects of a prompt's label and image that it could go on from, the most recent first.

    Empty ones and those that cannot be read are left out, the latter with a warning in the log.
    """
    wanted = (prompt.labels, prompt.to_name, prompt.item_index, prompt.height, prompt.width)
    fitting = [r for r in shown(task) if (r.labels, r.to_name, r.item_index, r.height, r.width) == wanted]
    readable = []
    for candidate in reversed(objects(fitting)):
        try:
            if candidate.box is not None:
                readable.append(candidate)
        except ValueError as error:
            logger.warning("region %s of task %s cannot be read: %s", candidate.id, task.id, error)
    return readable


def under(click: Click, candidates: Iterable[AcceptedObject]) -> AcceptedObject | None:
    """Return the first of some objects that a click lies in; None where it is outside all of them."""
    return next((candidate for candidate in candidates if candidate.contains(click.x, click.y)), None)


def _region(entry: dict[str, Any]) -> MaskRegion | None:
    kind, value = entry.get("type"), entry.get("value")
    if kind not in (BRUSH, POLYGON) or not isinstance(value, dict) or not value.get(_CONTENT[kind]):
        return None
    sides = entry.get("original_height"), entry.get("original_width")
    height, width = (side if isinstance(side, int) and 0 < side <= MAX_SIDE else 0 for side in sides)
    if not height or not width:
        return None
    labels = value.get(kind)
    return MaskRegion(
        id=str(entry.get("id", "")),
        kind=kind,
        labels=tuple(map(str, labels)) if isinstance(labels, list) else (),
        to_name=str(entry.get("to_name", "")),
        item_index=entry.get("item_index"),
        height=height,
        width=width,
        value=value,
        meta=RegionMeta.read(entry.get("meta")),
        origin=str(entry.get("origin") or "manual"),
    )


_CONTENT = {BRUSH: "rle", POLYGON: "points"}
