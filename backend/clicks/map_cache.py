"""Caches what the model answered to earlier clicks, as probability maps, in this process and in Redis.

The map for clicks 1..k needs the map for clicks 1..k-1. It is kept under a key that names everything it depends
on, so an entry is never wrong, only absent: then the clicks are replayed. Two annotators cannot share a state
unless they clicked the same pixels of the same image for the same label, in which case the answer is the same.
"""

from __future__ import annotations

import hashlib
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zstandard

from backend.label_studio.predict_request import Prompt
from backend.redis_store import MAPS, OptionalRedis
from model.click import Click
from model.inference.predictor import box_prior

MAX_REDIS_BYTES = 1 << 20
ZSTD_LEVEL = 1  # a quarter of the time of zlib's, and a tenth smaller
_HEADER = struct.Struct("<HHIIII")


@dataclass(frozen=True)
class CacheKey:
    """Names the maps of one object: the part of their keys that stays the same from click to click.

    Attributes:
        version: name of the model version.
        image: digest of the image's pixels.
        labels: label names of the object.
        start: what the first click builds on: "" for nothing, or a name for a box or an accepted mask.
        base: clicks that were in force before the first click of the object.
        device: what computes the maps; those of another kind of device differ a little.
    """

    version: str
    image: str
    labels: tuple[str, ...]
    start: str = ""
    base: tuple[Click, ...] = ()
    device: str = ""

    def name(self, clicks: Iterable[Click]) -> str:
        """Return the name of the map after ``clicks``: 32 hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=16)
        device = (self.device,) if self.device else ()  # maps of versions before 0.2 do not say it
        for text in (self.version, *device, self.image, self.start, *self.labels):
            digest.update(text.encode() + b"\0")
        for group in (self.base, clicks):
            for click in group:
                digest.update(struct.pack("<dd?", click.x, click.y, click.positive))
            digest.update(b"|")
        return digest.hexdigest()


@dataclass(frozen=True)
class ClickSequence:
    """All that the map of an object depends on.

    Attributes:
        key: model version, image and what the clicks are added to, by name.
        clicks: the clicks of this object, in order.
        start: the HxW uint8 map before the first of them; None for nothing.
        boxed: True where `start` is a box, from which the model makes a mask before any click.
    """

    key: CacheKey
    clicks: tuple[Click, ...]
    start: np.ndarray | None = None
    boxed: bool = False

    @staticmethod
    def of(
        prompt: Prompt, key: CacheKey, start: np.ndarray | None, earlier: tuple[Click, ...]
    ) -> ClickSequence:
        """Describe what a prompt asks for.

        Args:
            key: of a new object.
            start: HxW uint8 map that the clicks are added to; None for a new object.
            earlier: clicks that made `start` and are still in force.
        """
        if start is not None:
            name = hashlib.blake2b(start.tobytes(), digest_size=16).hexdigest()
            return ClickSequence(replace(key, start=f"map {name}", base=earlier), prompt.clicks, start)
        if prompt.box is not None:
            box = (prompt.box.left, prompt.box.top, prompt.box.right, prompt.box.bottom)
            prior = box_prior((prompt.height, prompt.width), box)
            return ClickSequence(replace(key, start=f"box {box}"), prompt.clicks, prior, boxed=True)
        return ClickSequence(key, prompt.clicks)

    @property
    def in_force(self) -> tuple[Click, ...]:
        """All clicks that the mask has to obey, earlier ones first."""
        return self.key.base + self.clicks

    @property
    def empty(self) -> bool:
        """True where there is nothing that a mask could be made of: negative clicks on nothing."""
        return self.start is None and not any(click.positive for click in self.clicks)

    @property
    def first(self) -> int:
        """How many clicks the model is shown at first: where nothing can be taken away yet, up to a positive one."""
        if self.start is not None:
            return 0 if self.boxed else 1
        return next((count for count, click in enumerate(self.clicks, 1) if click.positive), 1)

    def name(self, count: int) -> str:
        """Return the name of the map after the first ``count`` clicks."""
        return self.key.name(self.clicks[:count])


class MapCache:
    """Keeps HxW uint8 maps by key: the most recently used in memory, all of them in Redis for a while.

    Args:
        store: the Redis, if there is one.
        capacity: bytes of maps to keep in memory.
        ttl_s: seconds after which Redis forgets an unused entry.
        computed: names how the maps are computed; processes that compute them otherwise do not share them.
    """

    def __init__(self, store: OptionalRedis, capacity: int, ttl_s: int, computed: str = "") -> None:
        self._store, self._capacity, self._ttl_s = store, capacity, ttl_s
        self._prefix = MAPS + computed
        self._maps: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> tuple[np.ndarray, str] | None:
        """Return the read-only map (HxW uint8), found in ``memory`` or ``redis``; None for a miss."""
        with self._lock:
            found = self._maps.get(key)
            if found is not None:
                self._maps.move_to_end(key)
                return found, "memory"
        packed = self._store.attempt(lambda client: client.getex(self._prefix + key, ex=self._ttl_s), None)
        unpacked = None if packed is None else unpack(packed)
        if unpacked is None:
            return None
        self._remember(key, unpacked)
        return unpacked, "redis"

    def before(self, sequence: ClickSequence) -> np.ndarray | None:
        """Return the map (HxW uint8) that the newest click was placed on, where it is known; None for nothing."""
        found = self.get(sequence.name(len(sequence.clicks) - 1)) if sequence.clicks else None
        return sequence.start if found is None else found[0]

    def put(self, key: str, values: np.ndarray) -> None:
        """Keep a map (HxW uint8); it is made read-only."""
        values.flags.writeable = False
        self._remember(key, values)
        # Packing a large map takes longer than a click may: it happens behind the annotator's back.
        self._store.cache_behind(lambda client: self._share(client, key, values))

    def _share(self, client: Any, key: str, values: np.ndarray) -> None:
        packed = pack(values)
        if len(packed) <= MAX_REDIS_BYTES:
            client.set(self._prefix + key, packed, ex=self._ttl_s)

    def _remember(self, key: str, values: np.ndarray) -> None:
        with self._lock:
            old = self._maps.pop(key, None)
            self._bytes += values.nbytes - (0 if old is None else old.nbytes)
            self._maps[key] = values
            # The newest stays even where it alone is over the limit: the next click needs it.
            while self._bytes > self._capacity and len(self._maps) > 1:
                self._bytes -= self._maps.popitem(last=False)[1].nbytes


def pack(values: np.ndarray) -> bytes:
    """Pack an HxW uint8 map as bytes: the box around what is not zero, compressed fast, with a checksum."""
    rows, columns = np.flatnonzero(values.any(axis=1)), np.flatnonzero(values.any(axis=0))
    height, width = values.shape
    top, bottom = (int(rows[0]), int(rows[-1]) + 1) if rows.size else (0, 0)
    left, right = (int(columns[0]), int(columns[-1]) + 1) if columns.size else (0, 0)
    body = np.ascontiguousarray(values[top:bottom, left:right]).tobytes()
    header = _HEADER.pack(height, width, top | bottom << 16, left | right << 16, len(body), zlib.crc32(body))
    return header + zstandard.compress(body, ZSTD_LEVEL)


def unpack(packed: bytes) -> np.ndarray | None:
    """Undo `pack`: a read-only HxW uint8 map; None for bytes that are not a whole packed map."""
    try:
        height, width, rows, columns, size, checksum = _HEADER.unpack_from(packed)
        body = _decompressed(packed[_HEADER.size :], size)
    except (struct.error, zlib.error, zstandard.ZstdError):
        return None
    if len(body) != size or zlib.crc32(body) != checksum:
        return None
    top, bottom, left, right = rows & 0xFFFF, rows >> 16, columns & 0xFFFF, columns >> 16
    if bottom > height or right > width or (bottom - top) * (right - left) != size:
        return None
    values = np.zeros((height, width), np.uint8)
    values[top:bottom, left:right] = np.frombuffer(body, np.uint8).reshape(bottom - top, right - left)
    values.flags.writeable = False
    return values


def _decompressed(frame: bytes, size: int) -> bytes:
    """Return what was compressed by zstd, or by zlib as in version 0.1; no more than ``size`` bytes and one."""
    if frame.startswith(zstandard.FRAME_HEADER):
        known = zstandard.frame_content_size(frame) == size
        return zstandard.decompress(frame) if known else b""
    return zlib.decompressobj().decompress(frame, size + 1)
