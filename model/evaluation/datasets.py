"""Objects to evaluate on, from folders of images and masks.

Two layouts, told apart by `items.json`:

* plain: `images/NAME.*` and `masks/NAME.png`;
* indexed: `items.json`, a list of {"id", "image", "mask", optionally "object_id"}, paths relative to the folder,
  and optionally `split.json`, {part: [id, ...]}.

Masks are 8-bit with one channel: 0 background, 1..254 object ids, 255 ignored pixels. A plain mask that holds
nothing but 0 and 255 is taken as what most tools mean by it: 255 is the object.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from model.errors import ClickmaskError
from model.image_file import DecodeError, read_image
from model.mask_file import IGNORE, MaskError, read_ids
from model.scene import Sample, Scene

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".avif", ".gif", ".tif", ".tiff")
)

logger = logging.getLogger(__name__)

T = TypeVar("T")


class DatasetError(ClickmaskError, ValueError):
    """A set cannot be read; the message names the file and the fix."""


@dataclass(frozen=True)
class _Entry:
    """One image with its map of objects; `object_id` None stands for every object of the map."""

    id: str
    image: Path
    mask: Path
    object_id: int | None = None

    def present(self, plain: bool) -> dict[int, int]:
        """Measure the areas of the map's objects in pixels, by object id."""
        ids, areas = np.unique(_read_mask(self.mask), return_counts=True)
        found = {int(i): int(area) for i, area in zip(ids, areas, strict=True) if i}
        if not (plain and set(found) == {IGNORE}):
            found.pop(IGNORE, None)
        if self.object_id is not None:
            if self.object_id not in found:
                logger.warning(
                    "%s: there is no object %d; %r is left out", self.mask, self.object_id, self.id
                )
            return {self.object_id: found.get(self.object_id, 0)}
        return found

    def scene(self, object_id: int) -> Scene:
        image, ids = _read_image(self.image), _read_mask(self.mask)
        if image.shape[:2] != ids.shape:
            raise DatasetError(
                f"{self.mask}: {ids.shape[1]}x{ids.shape[0]} pixels, but its image {self.image.name} has "
                f"{image.shape[1]}x{image.shape[0]}"
            )
        return Scene(image, ids == object_id, (ids == IGNORE) & (object_id != IGNORE))


def read_folder(
    folder: Path, part: str | None = None, min_area: int = 1, max_objects: int | None = None
) -> list[Sample]:
    """List the objects of a folder in either layout.

    Args:
        folder: see the module's description.
        part: of `split.json`; a folder without that file has one part under any name. None takes everything.
        min_area: smaller objects (pixels) are left out.
        max_objects: at most so many, evenly spread over the set.

    Raises:
        DatasetError: the folder, a file or the part is missing, or no object is left.
    """
    plain = not (folder / "items.json").exists()
    entries = _plain(folder) if plain else _indexed(folder, part)
    samples = [
        Sample(name, lambda entry=entry, i=i: entry.scene(i))  # type: ignore[misc]
        for entry in entries
        for name, i in _objects(entry, plain, min_area)
    ]
    if not samples:
        raise DatasetError(
            f"{folder}: no object of at least {min_area} pixels; in masks 1 to 254 are objects, 255 is ignored"
        )
    return spread(samples, max_objects)


def state_of(path: Path) -> str:
    """Name the state of a set, a folder or a file, by eight hex digits: names, sizes and times of its files."""
    files = [path] if path.is_file() else sorted(path.rglob("*.*"))
    stats = [(file.relative_to(path), file.stat()) for file in files]
    known = [(str(name), stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:8]


def spread(samples: Sequence[T], count: int | None) -> list[T]:
    """Choose at most `count` samples, or other things, evenly spaced, in order; None for all.

    Raises:
        DatasetError: `count` is less than 1.
    """
    if count is None or count >= len(samples):
        return list(samples)
    if count < 1:
        raise DatasetError(f"{count} objects: at least 1 is needed")
    return [samples[i * len(samples) // count] for i in range(count)]


def _objects(entry: _Entry, plain: bool, min_area: int) -> Iterator[tuple[str, int]]:
    """List sample ids and object ids of one map; a map with one object lends it its own id."""
    present = entry.present(plain)
    for object_id, area in present.items():
        if area >= min_area:
            yield entry.id if len(present) == 1 else f"{entry.id}#{object_id}", object_id


def _plain(folder: Path) -> list[_Entry]:
    images, masks = folder / "images", folder / "masks"
    for needed in (images, masks):
        if not needed.is_dir():
            raise DatasetError(f"{folder}: neither items.json nor a folder {needed.name}/")
    by_stem = {path.stem: path for path in sorted(images.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES}
    entries = []
    for mask in sorted(path for path in masks.iterdir() if path.suffix.lower() == ".png"):
        if mask.stem not in by_stem:
            raise DatasetError(f"{mask}: no image of that name in {images}")
        entries.append(_Entry(mask.stem, by_stem.pop(mask.stem), mask))
    if by_stem:
        logger.warning("%s: %d images without a mask are left out", folder, len(by_stem))
    return entries


def _indexed(folder: Path, part: str | None) -> list[_Entry]:
    try:
        items = json.loads((folder / "items.json").read_bytes())
        entries = [
            _Entry(str(i["id"]), folder / i["image"], folder / i["mask"], _object_id(i)) for i in items
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{folder / 'items.json'}: not a list of id, image and mask ({error!r})"
        ) from error
    split = folder / "split.json"
    if part is None or not split.exists():
        return entries
    try:
        parts = {name: set(map(str, ids)) for name, ids in json.loads(split.read_bytes()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{split}: not an object of parts, each a list of ids ({error!r})") from error
    if part not in parts:
        raise DatasetError(f"{split}: no part {part!r}; it has {', '.join(sorted(parts))}")
    wanted = parts[part]
    return [entry for entry in entries if entry.id in wanted]


def _object_id(item: dict[str, Any]) -> int | None:
    found: int | None = item.get("object_id")
    if found is not None and type(found) is not int:
        raise TypeError(f"object_id is {found!r}, no whole number")
    return found


def _read_image(path: Path) -> np.ndarray:
    return _cached_image(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=4)  # objects of one image follow one another
def _cached_image(path: Path, _changed: int) -> np.ndarray:
    try:
        return read_image(path, float("inf"))  # read-only: it is shared by all objects of the image
    except DecodeError as error:
        raise DatasetError(str(error)) from None


def _read_mask(path: Path) -> np.ndarray:
    try:
        return read_ids(path)
    except MaskError as error:
        raise DatasetError(str(error)) from None
