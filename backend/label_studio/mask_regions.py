"""Reads masks that annotators have accepted out of Label Studio's results: for corrections and for training."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.json_fields import elements
from backend.label_studio.label_config import BITMASK, BRUSH, LABELS, MASKS, POLYGON, shape_of
from backend.label_studio.mask_formats import bitmask, polygon, rle
from backend.label_studio.mask_formats.runs import Runs
from backend.label_studio.prompt_regions import MAX_SIDE, names_of
from backend.label_studio.region_meta import RegionMeta

logger = logging.getLogger(__name__)

# Ids that predict_response.py gives the further regions of an object; Label Studio's own have another form.
_PART = re.compile(r"(cm[0-9a-f]{12})-\d+")
# Where a result keeps a mask of this shape.
_CONTENT = {BRUSH: "rle", BITMASK: "imageDataURL", POLYGON: "points"}


@dataclass(frozen=True)
class MaskRegion:
    """One region that holds a mask.

    Attributes:
        id: Label Studio's region id; its place among the results where other tools gave it none.
        shape: ``brush``, ``bitmask`` or ``polygon``.
        labels: label names, as the annotator wanted them last; empty for an unlabelled region.
        to_name: name of the image tag.
        item_index: position in a multi-image tag; None, which other tools write, is the first.
        height, width: size of the image, pixels.
        value: the ``value`` of the result that holds the mask.
        meta: how this backend made it, where it did.
        origin: ``manual``, ``prediction`` (accepted untouched) or ``prediction-changed``.
        locked: whether nobody may change it.
    """

    id: str
    shape: str
    labels: tuple[str, ...]
    to_name: str
    item_index: int | None
    height: int
    width: int
    value: Mapping[str, Any] = field(repr=False)
    meta: RegionMeta = field(default=RegionMeta(), repr=False)
    origin: str = "manual"
    locked: bool = False

    @property
    def object_id(self) -> str:
        """Id shared by the regions that one answer was made of: the id of the first."""
        return object_id(self.id)

    def check(self) -> None:
        """Look whether there is a mask of the right size, as far as that is quick; ValueError says what is wrong."""
        content = self.value.get(_CONTENT[self.shape])
        if self.shape == POLYGON:
            polygon.check(self._points)
        elif self.shape == BRUSH:
            rle.check(content, self.height, self.width)
        else:
            bitmask.check(content, self.height, self.width)

    def mask(self) -> np.ndarray:
        """Return the mask, HxW bool, as the editor shows it. ValueError when it cannot be decoded."""
        if self.shape == POLYGON:
            return polygon.to_mask(self._points, self.height, self.width)
        return self._runs.mask(self.width)

    def contains(self, x: float, y: float) -> bool:
        """Tell whether the pixel at (x, y) belongs to the mask; cheaper than `mask`. Errors as for `mask`."""
        row, column = int(y // 1), int(x // 1)
        if not (0 <= row < self.height and 0 <= column < self.width):
            return False
        if self.shape == POLYGON:
            return polygon.covers(self._points, (self.height, self.width), (row, column))
        return self._runs.covers(row * self.width + column)

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Left, top, right, bottom around the mask, pixels, ends exclusive; None for an empty one.

        Raises:
            ValueError: the mask cannot be decoded.
        """
        if self.shape == POLYGON:
            return polygon.box(self._points, self.height, self.width)
        if self.origin == "prediction" and self.meta.box is not None:
            return self.meta.box  # nobody has touched it since
        return self._runs.box

    @property
    def _points(self) -> Any:
        return self.value.get("points", ())

    @property
    def _runs(self) -> Runs:
        content = self.value.get(_CONTENT[self.shape])
        read = Runs.of_rle if self.shape == BRUSH else Runs.of_bitmask
        return read(content, self.height, self.width)


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
        """Return the mask, HxW bool: of the regions with pixels where there are any, polygons are less exact."""
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
        left, top, right, bottom = self.box or (0, 0, 0, 0)
        if not (left <= x < right and top <= y < bottom):
            return False
        return any(region.contains(x, y) for region in self._best)

    @property
    def _best(self) -> list[MaskRegion]:
        exact = [region for region in self.regions if region.shape != POLYGON]
        return exact or list(self.regions)


def accepted(results: Iterable[Any]) -> list[MaskRegion]:
    """Return the regions with a mask among the results of an annotation or draft, in order.

    A region may have several results of one id: the mask, and names that the editor adds to it. Left out are
    keypoints and rectangles, regions whose mask has no content, relations and other entries; and, with a line in
    the log, regions whose mask is malformed or has no size.
    """
    groups: dict[Any, list[dict[str, Any]]] = {}
    for number, entry in enumerate(results):
        if isinstance(entry, dict):
            groups.setdefault(str(entry["id"]) if entry.get("id") else number, []).append(entry)
    regions = []
    for number, group in groups.items():
        try:
            region = _region(str(number), group)
            if region is not None:
                region.check()
                regions.append(region)
        except ValueError as error:
            logger.warning("region %s is left out, it holds no mask: %s", number, error)
    return regions


def object_id(region_id: str) -> str:
    """Return the id of the object that a region of this backend belongs to: the id of its first region."""
    part = _PART.fullmatch(region_id)
    return part[1] if part else region_id


def objects(regions: Iterable[MaskRegion]) -> list[AcceptedObject]:
    """Group regions by object, in order of the first region of each.

    Left out are objects that others go on from under an id of their own, as corrected bitmasks do.
    """
    groups: dict[str, list[MaskRegion]] = {}
    for region in regions:
        groups.setdefault(region.object_id, []).append(region)
    found = [AcceptedObject(object_id, tuple(group)) for object_id, group in groups.items()]
    return [entry for entry in found if not any(_goes_on(other, entry) for other in found)]


def _goes_on(later: AcceptedObject, earlier: AcceptedObject) -> bool:
    """Tell whether one object was made by all prompts of another one, and more."""
    images = [(entry.regions[0].to_name, entry.regions[0].item_index) for entry in (later, earlier)]
    return images[0] == images[1] and bool(earlier.prompts) and set(earlier.prompts) < set(later.prompts)


def _region(number: str, group: list[dict[str, Any]]) -> MaskRegion | None:
    """Read the results of one region; None where none of them holds a mask, ValueError for one without a size."""
    # What a control that only names has copied counts where no other result holds the mask.
    entry = next(filter(_shape, sorted(group, key=lambda entry: entry.get("type") == LABELS)), None)
    if entry is None:
        return None
    height, width = _side(entry, "original_height"), _side(entry, "original_width")
    meta, index = RegionMeta.read(entry.get("meta")), entry.get("item_index")
    return MaskRegion(
        id=number,
        shape=_shape(entry),
        labels=_wanted(names_of(entry), [names_of(e) for e in group if e.get("type") == LABELS], meta),
        to_name=str(entry.get("to_name", "")),
        item_index=index if isinstance(index, int) else None,
        height=height,
        width=width,
        value=entry["value"],
        meta=meta,
        origin=str(entry.get("origin") or "manual"),
        locked=entry.get("readonly") is True,
    )


def _shape(entry: dict[str, Any]) -> str:
    """Return the shape of the mask that a result holds, "" for none."""
    kind, value = str(entry.get("type")), entry.get("value")
    if not isinstance(value, dict):
        return ""
    if kind == LABELS:
        return next((shape for shape in MASKS if _is_content(shape, value)), "")
    shape = shape_of(kind)
    return shape if shape in MASKS and _is_content(shape, value) else ""


def _is_content(shape: str, value: dict[str, Any]) -> bool:
    content = value.get(_CONTENT[shape])
    return (
        bool(content) if shape == BITMASK or isinstance(content, rle.UnreadRle) else bool(elements(content))
    )


def _wanted(own: tuple[str, ...], names: list[tuple[str, ...]], meta: RegionMeta) -> tuple[str, ...]:
    """Return the labels that the annotator wanted last.

    Args:
        own: labels of the control that holds the mask.
        names: labels of the rows that only name, whose last change cannot be seen in `own`.
        meta: with the labels of the suggestion: whichever differs from them was changed.
    """
    row = next((labels for labels in reversed(names) if labels), ())
    if not row or (own and meta.labels and row == meta.labels):
        return own
    return row


def _side(entry: dict[str, Any], name: str) -> int:
    """Return a side of an image in pixels; 320.0 and "320", which other tools write, are 320."""
    value = entry.get(name)
    try:
        size = 0.0 if isinstance(value, bool) else float(value or 0)
    except (TypeError, ValueError, OverflowError):
        size = 0.0
    if not (size.is_integer() and 0 < size <= MAX_SIDE):
        raise ValueError(f"{name} is {value!r}, no size in pixels")
    return int(size)
