"""Stored masks as runs of pixels: enough to tell what is under a click without making the whole mask."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from backend.label_studio.mask_formats import alpha, bitmask, rle, strokes

# Runs of so many bytes are hand-painted or noise: not worth the memory to keep them.
_LARGE = 1 << 20
_KEPT = 1024
# Where drafts have what was drawn since a brush mask was encoded: a magic wand's picture, and strokes.
DRAWN = ("maskDataURL", "touches")


@dataclass(frozen=True)
class Runs:
    """A mask, run by run in row-major order.

    Attributes:
        ends: int64, index of the pixel after each run.
        on: bool, whether the run belongs to the mask.
        width: of the mask, pixels.
    """

    ends: np.ndarray
    on: np.ndarray
    width: int

    @staticmethod
    def of_rle(code: Any, height: int, width: int) -> Runs:
        """Read a brush mask, ``value.rle``; ValueError where that is not possible."""
        if isinstance(code, rle.UnreadRle):
            return _remembered(code.text, height, width, lambda *_: rle.runs(code.read(), height, width))
        return _remembered(rle.to_bytes(code), height, width, rle.runs)

    @staticmethod
    def of_brush(value: Mapping[str, Any], height: int, width: int) -> Runs:
        """Read the ``value`` of a brush mask, with what drafts hold of it beside the code; ValueError as `of_rle`."""
        code, drawn = value.get("rle"), {name: value[name] for name in DRAWN if value.get(name)}
        if not drawn:
            return Runs.of_rle(code, height, width)
        text = code.text if isinstance(code, rle.UnreadRle) else rle.to_bytes(code) if code else b""

        def read(*_: Any) -> tuple[np.ndarray, np.ndarray]:
            mask = Runs.of_rle(code, height, width).mask(width) if code else np.zeros((height, width), bool)
            if url := drawn.get("maskDataURL"):
                mask |= Runs.of_bitmask(url, height, width).mask(width)
            return _runs(255 * strokes.draw(mask, drawn.get("touches", [])).astype(np.uint8).ravel())

        return _remembered(text + json.dumps(drawn).encode(), height, width, read)

    @staticmethod
    def of_bitmask(url: Any, height: int, width: int) -> Runs:
        """Read a bitmask, ``value.imageDataURL``; ValueError where that is not possible."""
        if not isinstance(url, str):
            raise ValueError("a bitmask is a PNG in a data URL")
        return _remembered(url.encode(errors="replace"), height, width, _bitmask_runs)

    def mask(self, width: int) -> np.ndarray:
        """Return the mask, HxW bool."""
        return np.repeat(self.on, np.diff(self.ends, prepend=0)).reshape(-1, width)

    def covers(self, index: int) -> bool:
        """Tell whether the pixel of an index belongs to the mask."""
        return bool(self.on[np.searchsorted(self.ends, index, side="right")])

    @cached_property
    def box(self) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom around the mask, ends exclusive; None for an empty one."""
        width = self.width
        first, last = (np.concatenate(([0], self.ends[:-1])))[self.on], self.ends[self.on] - 1
        if not first.size:
            return None
        top, bottom = int(first[0]) // width, int(last[-1]) // width + 1
        if (first // width != last // width).any():  # a run over the edge touches both sides
            return 0, top, width, bottom
        return int((first % width).min()), top, int((last % width).max()) + 1, bottom


def check_brush(value: Mapping[str, Any], height: int, width: int) -> None:
    """Look at the beginning of all that `Runs.of_brush` reads; ValueError where it is none, or of another size."""
    if value.get("rle") or not any(map(value.get, DRAWN)):
        rle.check(value.get("rle"), height, width)
    if value.get("maskDataURL"):
        bitmask.check(value["maskDataURL"], height, width)
    strokes.check(value.get("touches") or [])


Read = Callable[[bytes, int, int], tuple[np.ndarray, np.ndarray]]
_known: OrderedDict[bytes, Runs] = OrderedDict()
_lock = Lock()


def _remembered(content: bytes, height: int, width: int, read: Read) -> Runs:
    """Decode, or find what was decoded before: every request brings the accepted masks of its task again."""
    key = hashlib.blake2b(content, digest_size=16, key=b"%d %d" % (height, width)).digest()
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    lengths, values = read(content, height, width)
    level = alpha.lowest(np.bincount(values, weights=lengths, minlength=256))
    runs = Runs(np.cumsum(lengths), values >= level, width)
    if runs.ends.nbytes < _LARGE:
        with _lock:
            _known[key] = runs
            while len(_known) > _KEPT:
                _known.popitem(last=False)
    return runs


def _bitmask_runs(content: bytes, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (lengths, values) of the runs of a bitmask's alpha, as `rle.runs` does."""
    return _runs(bitmask.decode(content.decode(), height, width).ravel())


def _runs(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    starts = np.concatenate(([0], np.flatnonzero(pixels[1:] != pixels[:-1]) + 1))
    return np.diff(starts, append=pixels.size), pixels[starts]
