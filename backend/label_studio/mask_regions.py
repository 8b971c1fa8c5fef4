"""Reads masks that annotators have accepted out of Label Studio's results: for corrections and for training."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from typing import Any

import numpy as np

from backend.label_studio.label_config import BITMASK, BRUSH, LABELS, MASKS, POLYGON, WAND
from backend.label_studio.mask_formats import bitmask, digest, polygon, rle
from backend.label_studio.mask_formats.runs import DRAWN, Runs, check_brush
from backend.label_studio.prompt_regions import names_of, side_of
from backend.label_studio.region_meta import RegionMeta

logger = logging.getLogger(__name__)

# Ids that predict_response.py gives the further regions of an object; Label Studio's own have another form.
_PART = re.compile(r"(cm[0-9a-f]{12})-\d+")
# Where a result keeps a mask of this shape.
_CONTENT = {BRUSH: ("rle", *DRAWN), BITMASK: ("imageDataURL",), POLYGON: ("points",)}


@dataclass(frozen=True)
class MaskRegion:
    """One region that holds a mask.

    Attributes:
        id: Label Studio's region id; its place among the results where other tools gave it none.
        shape: ``brush``, ``bitmask`` or ``polygon``.
        labels: label names, as the annotator wanted them last; empty for an unlabelled region.
        to_name: name of the image tag.
        item_index: position in a multi-image tag; None, which other tools write, is the first.
        height, width: size of the image, pixels; 0 where a polygon does not tell it, see `fitted`.
        value: the ``value`` of the result that holds the mask.
        meta: how this backend made it, where it did.
        origin: ``manual``, ``prediction``, or ``prediction-changed`` once anything of it was changed.
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
    def image(self) -> tuple[str, int]:
        """Name of the image tag and position in it, which tell whether two regions are on one image."""
        return self.to_name, self.item_index or 0

    @property
    def object_id(self) -> str:
        """Id shared by the regions that one answer was made of: the id of the first."""
        return object_id(self.id)

    def fitted(self, height: int, width: int) -> MaskRegion:
        """Return the region for an image of this size, which a polygon, being in percent, takes from the image."""
        return replace(self, height=height, width=width) if self.shape == POLYGON else self

    def check(self) -> None:
        """Look whether there is a mask of the right size, as far as that is quick; ValueError says what is wrong."""
        if self.shape == POLYGON:
            polygon.check(self._points)
        elif self.shape == BRUSH:
            check_brush(self.value, self.height, self.width)
        else:
            bitmask.check(self.value.get("imageDataURL"), self.height, self.width)

    def read(self) -> None:
        """Look through the whole mask without making it; ValueError when it cannot be decoded."""
        if self.shape == POLYGON:
            polygon.box(self._points, self.height, self.width)
        else:
            _ = self._runs

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
    def untouched(self) -> bool:
        """Whether the mask is as it was suggested; labels, choices and texts change only the origin."""
        try:
            return self.origin == "prediction" or (
                bool(self.meta.digest) and self._digest == self.meta.digest
            )
        except ValueError:  # it cannot be decoded
            return False

    @property
    def _digest(self) -> str:
        return digest.of_points(self._points) if self.shape == POLYGON else digest.of_mask(self.mask())

    @property
    def _points(self) -> Any:
        return self.value.get("points", ())

    @property
    def _runs(self) -> Runs:
        if self.shape == BRUSH:
            return Runs.of_brush(self.value, self.height, self.width)
        return Runs.of_bitmask(self.value.get("imageDataURL"), self.height, self.width)


@dataclass(frozen=True)
class AcceptedObject:
    """All regions of one object: more than one where an answer had brush and polygon."""

    id: str
    regions: tuple[MaskRegion, ...]

    @property
    def prompts(self) -> tuple[str, ...]:
        """Region ids of the prompts that made it."""
        return tuple(dict.fromkeys(prompt for region in self.regions for prompt in region.meta.prompts))

    @property
    def image(self) -> tuple[str, int]:
        """See `MaskRegion.image`."""
        return self.regions[0].image

    def fitted(self, height: int, width: int) -> AcceptedObject:
        """Return the object for an image of this size; see `MaskRegion.fitted`."""
        return replace(self, regions=tuple(region.fitted(height, width) for region in self.regions))

    def mask(self) -> np.ndarray:
        """Return the mask, HxW bool: of the regions with pixels where there are any, polygons are less exact."""
        # One by one, as an object may have dozens of parts.
        return reduce(np.logical_or, (region.mask() for region in self._best))

    def size(self) -> tuple[int, int]:
        """Return height and width of the mask, pixels; errors as for `mask`, but it is cheaper."""
        for region in self._best:
            region.read()
        sizes = {(region.height, region.width) for region in self._best}
        if len(sizes) > 1:
            raise ValueError(
                f"its parts are of images of several sizes (h, w) {sorted(sizes)}: draw it again"
            )
        return sizes.pop()

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


def accepted(
    results: Iterable[Any], remarks: Callable[[str], frozenset[str]] | None = None
) -> list[MaskRegion]:
    """Return the regions with a mask among the results of an annotation or draft, in order.

    A region may have several results of one id: the mask, and names that the editor adds to it. Left out are
    keypoints and rectangles, regions whose mask has no content, relations and other entries; and, with a line in
    the log, regions whose mask is malformed, and pixels without a size.

    Args:
        remarks: the labels on an image tag that say something else than what an object is, see `LabelConfig.remarks`;
            None where the config is not known, and what a row says has to be guessed.
    """
    remarks = cache(remarks) if remarks else None
    groups: dict[Any, list[dict[str, Any]]] = {}
    for number, entry in enumerate(results):
        if isinstance(entry, dict):
            groups.setdefault(str(entry["id"]) if entry.get("id") else number, []).append(entry)
    regions = []
    for number, group in groups.items():
        try:
            if (region := _region(str(number), group, remarks)) is not None:
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

    Left out are objects that others go on from under an id of their own, as corrected bitmasks do: those were made by
    all prompts of the earlier object, and more.
    """
    groups: dict[str, list[MaskRegion]] = {}
    for region in regions:
        groups.setdefault(region.object_id, []).append(region)
    found = [AcceptedObject(object_id, tuple(group)) for object_id, group in groups.items()]
    prompts = [(entry.image, set(entry.prompts)) for entry in found]
    # A task may have too many to compare all pairs.
    made_by: dict[tuple[tuple[str, int], str], list[set[str]]] = {}
    for image, own in prompts:
        for prompt in own:
            made_by.setdefault((image, prompt), []).append(own)
    return [
        entry
        for entry, (image, own) in zip(found, prompts, strict=True)
        if not any(own < more for prompt in entry.prompts[:1] for more in made_by[image, prompt])
    ]


def _region(
    number: str, group: list[dict[str, Any]], remarks: Callable[[str], frozenset[str]] | None
) -> MaskRegion | None:
    """Read the results of one region; None where none of them holds a mask, ValueError for pixels without a size."""
    # What a control that only names has copied counts where no other result holds the mask.
    entry = next(filter(_shape, sorted(group, key=lambda entry: entry.get("type") == LABELS)), None)
    if entry is None:
        return None
    meta, index = RegionMeta.read(entry.get("meta")), entry.get("item_index")
    to_name, rows = str(entry.get("to_name", "")), [names_of(e) for e in group if e.get("type") == LABELS]
    if remarks:
        rows = [row for row in rows if not remarks(to_name).issuperset(row)]
    origin = str(entry.get("origin") or "manual")
    return MaskRegion(
        id=number,
        shape=_shape(entry),
        labels=meta.wanted(names_of(entry), rows, not remarks, untouched=origin == "prediction"),
        to_name=to_name,
        item_index=index if isinstance(index, int) else None,
        height=_side(entry, "original_height"),
        width=_side(entry, "original_width"),
        value=rle.packed(entry["value"]),
        meta=meta,
        origin=origin,
        locked=entry.get("readonly") is True,
    )


def _shape(entry: dict[str, Any]) -> str:
    """Return the shape of the mask that a result holds, "" for none."""
    kind, value = str(entry.get("type")), entry.get("value")
    value = value if isinstance(value, dict) else {}
    for shape in MASKS:
        if any(map(value.get, _CONTENT[shape])) and kind in (LABELS, WAND, shape, shape + LABELS):
            return shape
    return ""


def _side(entry: dict[str, Any], name: str) -> int:
    """Return a side of an image in pixels, 0 where a polygon has none."""
    size = side_of(entry.get(name))
    if not size and _shape(entry) != POLYGON:
        raise ValueError(f"{name} is {entry.get(name)!r}, no size in pixels")
    return size
