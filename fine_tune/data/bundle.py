"""Training bundles: images and id maps of several sets in one uncompressed zip file, at a bounded side.

One file travels to a GPU machine in one piece and is read into memory once. Layout: `index.json` (a list of
`{"set", "stuff", "image", "mask"}`), `<set>/images/*.jpg`, `<set>/masks/*.png`. The comment is `fingerprint`'s.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fine_tune.data.encoded_image import DataError, EncodedImage
from model.image_file import read_image
from model.mask_file import IGNORE, read_ids

STUFF = frozenset({"road", "pavement", "sky", "building", "tree"})


def _name(folder: Path, entry: Mapping[str, Any]) -> str:
    """Name an item's set, and the origin where the set tells several apart."""
    return f"{folder.name}.{entry['origin']}" if "origin" in entry else folder.name


def _stuff(entry: Mapping[str, Any]) -> list[int]:
    """List the ids whose label is one of STUFF; a set with `labels` names those of its ids, from 1 on."""
    return [number for number, label in enumerate(entry.get("labels", ()), 1) if label in STUFF]


def _entries(folder: Path, part: str) -> list[dict[str, Any]]:
    """List the items of a set (items.json, split.json), restricted to one part where parts are named."""
    try:
        items: list[dict[str, Any]] = json.loads((folder / "items.json").read_bytes())
        split = folder / "split.json"
        if split.exists():
            keep = set(map(str, json.loads(split.read_bytes())[part]))
            items = [item for item in items if str(item["id"]) in keep]
        for item in items:
            _ = folder / item["image"], folder / item["mask"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: items.json or split.json cannot be understood ({error!r})") from error
    return items


def _shrink_image(path: Path, pixels: np.ndarray, side: int, quality: int) -> bytes:
    """Re-encode an upright image with at most `side` pixels on the longer side; keep the bytes where that is no
    smaller."""
    bgr = cv2.cvtColor(_shrunk(pixels, side, cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    data = path.read_bytes()
    return encoded if bgr.shape != pixels.shape or len(encoded) < len(data) else data


def _ids(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read the id map of an image of this shape."""
    ids = read_ids(path)
    if ids.shape != shape:
        raise DataError(
            f"{path}: {ids.shape[1]}x{ids.shape[0]} pixels, but its image has {shape[1]}x{shape[0]}: give it a mask "
            "of its size"
        )
    return ids


def _shrink_mask(ids: np.ndarray, side: int) -> bytes:
    """Encode an id map with at most `side` pixels on the longer side, whatever way its file keeps the ids."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    return cv2.imencode(".png", _shrunk(ids, side, cv2.INTER_NEAREST), options)[1].tobytes()


def _shrunk(pixels: np.ndarray, side: int, interpolation: int) -> np.ndarray:
    scale = side / max(pixels.shape[:2])
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=interpolation) if scale < 1 else pixels


def fingerprint(folders: Sequence[Path], side: int, quality: int) -> str:
    """Name what `pack` would make of sets by sixteen hex digits: their entries, and the sizes of their files.

    Raises:
        DataError: items.json or split.json of a set cannot be understood.
    """
    digest = hashlib.sha256(f"{side} {quality}".encode())
    for folder in sorted(folders, key=lambda folder: folder.name):
        for entry in _entries(folder, "train"):
            files = [folder / entry[key] for key in ("image", "mask")]
            sizes = [file.stat().st_size if file.exists() else None for file in files]
            digest.update(json.dumps([folder.name, entry, sizes], sort_keys=True).encode())
    return digest.hexdigest()[:16]


def packed_from(path: Path) -> str:
    """Return the fingerprint of what a bundle was packed from; "" where it has none.

    Raises:
        DataError: not a bundle.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.decode("ascii", "replace")
    except zipfile.BadZipFile as error:
        raise _no_bundle(path) from error


def _no_bundle(path: Path) -> DataError:
    return DataError(f"{path} is not a training bundle: make one with `clickmask train --bundle`")


def pack(
    folders: Sequence[Path],
    target: Path,
    side: int = 512,
    quality: int = 90,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the train parts of sets (layout: items.json, images/, masks/, split.json) into one bundle.

    Args:
        side: bound of the longer side in pixels.
        quality: JPEG quality of the images.
        on_progress: called with (items done, items in all).

    Returns:
        The number of items.

    Raises:
        ClickmaskError: a set, an image or a mask cannot be used; the message names it.
    """
    sets = [folder.name for folder in folders]
    twice = [name for name in sets if sets.count(name) > 1]
    if twice:
        raise DataError(f"two sets are called {twice[0]!r}: give their folders different names")
    work = [(folder, entry) for folder in folders for entry in _entries(folder, "train")]
    for folder in {*folders} - {folder for folder, _ in work}:
        raise DataError(f"{folder}: no item of items.json is one to train on; split.json names their ids")
    index: list[dict[str, Any]] = []
    written: dict[str, tuple[int, ...]] = {}  # images -> height and width
    without = {folder for folder, _ in work}  # an object so far
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for done, (folder, entry) in enumerate(work):
            names = {key: f"{folder.name}/{entry[key]}" for key in ("image", "mask")}
            if names["image"] not in written:  # several annotators share one photo
                path = folder / entry["image"]
                pixels = read_image(path, float("inf"))
                archive.writestr(names["image"], _shrink_image(path, pixels, side, quality))
                written[names["image"]] = pixels.shape[:2]
            ids = _ids(folder / entry["mask"], written[names["image"]])
            archive.writestr(names["mask"], _shrink_mask(ids, side))
            if folder in without and ((ids > 0) & (ids != IGNORE)).any():
                without.remove(folder)
            index.append({"set": _name(folder, entry), "stuff": _stuff(entry), **names})
            on_progress(done + 1, len(work))
        archive.writestr("index.json", json.dumps(index))
        archive.comment = fingerprint(folders, side, quality).encode()
    for folder in without:
        raise DataError(f"{folder}: no mask holds an object; 1 to 254 are objects, 255 is ignored")
    return len(index)


def read(path: Path) -> list[EncodedImage]:
    """Read a bundle into memory, one `EncodedImage` per map of ids.

    Raises:
        DataError: not a bundle, or a damaged one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            index = json.loads(archive.read("index.json"))
            images = {entry["image"]: archive.read(entry["image"]) for entry in index}
            return [
                EncodedImage(
                    e["set"], images[e["image"]], (archive.read(e["mask"]),), tuple(e.get("stuff", ()))
                )
                for e in index
            ]
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _no_bundle(path) from error
