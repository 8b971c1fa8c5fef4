"""Measures whole requests through the whole application, stage by stage, with an empty and with a filled Redis.

Requests are what Label Studio sends, with accepted masks in the draft; images come over HTTP from this machine, so
that a first click pays for decoding and not for a network. Redis is a server of the benchmark's own. Variants are
measured in turn, image by image, so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import redis

from backend.assembly import Backend
from backend.label_studio.mask_formats import rle
from backend.operations.bench.click_requests import CLICKS, BenchError, Picture, Record, body, masks, other
from backend.operations.bench.filling import Filling, fill
from backend.operations.bench.image_server import ImageServer
from backend.operations.embedded_redis import EmbeddedRedis
from backend.settings import Settings
from backend.web.app import create_app

EMPTY = "empty"
LOAD_LIMIT_S = 300
Times = dict[str, list[float]]
Tell = Callable[[str], None]


@dataclass
class Sizes:
    """Measurements for one image size, in seconds.

    Attributes:
        first: by stage, first clicks on new images; `total` is the request as a whole.
        later: by stage, the clicks that follow.
        masks: HxW bool, what was answered.
    """

    width: int
    height: int
    first: Times = field(default_factory=lambda: defaultdict(list))
    later: Times = field(default_factory=lambda: defaultdict(list))
    masks: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """What a benchmark came to.

    Attributes:
        version: name of the model version.
        device: what it runs on.
        sizes: by variant (`EMPTY` first), one entry for each image size.
    """

    version: str
    device: str
    sizes: dict[str, list[Sizes]]


def measure(
    settings: Settings, sizes: list[tuple[int, int]], rounds: int, filling: Filling, tell: Tell
) -> Measured:
    """Click through `rounds` new images of each (width, height), in every variant.

    Raises:
        NotReady: the model cannot be loaded.
        BenchError: a click is not answered.
    """
    with ImageServer() as images, ExitStack() as stack:
        variants = {}
        for name, plan in _plans(filling).items():
            tell(f"starting: {name}")
            variants[name] = stack.enter_context(_variant(settings, images, plan))
        results: dict[str, list[Sizes]] = {name: [] for name in variants}
        for width, height in sizes:
            rows = {name: Sizes(width, height) for name in variants}
            for number in range(rounds + 1):
                tell(f"{width}x{height}: image {number} of {rounds}")
                picture = Picture.make(width, height, seed=number)
                path = f"/data/upload/0/{width}x{height}-{number}.jpg"
                images.files[path] = picture.jpeg
                # The first image does not count; who begins changes with every image.
                for name in list(variants)[:: 1 if number % 2 else -1]:
                    variants[name].click(picture, path, rows[name] if number else None)
                del images.files[path]
            for name, row in rows.items():
                results[name].append(row)
        first = variants[EMPTY]
        return Measured(first.version, first.device, results)


def _plans(filling: Filling) -> dict[str, Filling]:
    plans = {EMPTY: Filling()}
    if filling.of_redis:
        full = replace(filling, saved_masks=0)
        plans[f"{full.redis_keys} keys, {full.jobs} jobs, {full.ledger} records"] = full
    if filling.saved_masks:
        plans[f"{filling.saved_masks} saved masks"] = Filling(saved_masks=filling.saved_masks)
    return plans


@contextmanager
def _variant(settings: Settings, images: ImageServer, filling: Filling) -> Iterator[_Variant]:
    """Run a whole backend in this process, with a Redis of its own."""
    with tempfile.TemporaryDirectory(prefix="clickmask-bench-") as folder, EmbeddedRedis(Path(folder)) as url:
        fill(redis.Redis.from_url(url), filling)
        stages: dict[str, float] = defaultdict(float)

        def add(stage: str, seconds: float) -> None:
            stages[stage] += seconds

        app = create_app(replace(settings, label_studio_url=images.url, redis_url=url), add)
        backend: Backend = app.extensions["clickmask"]
        try:
            loaded = backend.models.take(None, LOAD_LIMIT_S)
            post = app.test_client().post
            yield _Variant(post, stages, filling.saved_masks, loaded.version, loaded.device)
        finally:
            backend.close()


@dataclass
class _Variant:
    post: Callable[..., Any]
    stages: dict[str, float]
    saved_masks: int
    version: str
    device: str
    accepted: list[Record] = field(default_factory=list)

    def click(self, picture: Picture, path: str, result: Sizes | None) -> None:
        """Make all clicks of one object, and accept it."""
        regions: list[Record] = []
        size = (picture.width, picture.height)
        saved = list(masks(self.saved_masks, *size)) if self.saved_masks else self._accepted(size)
        for count in range(1, len(CLICKS) + 1):
            regions, times = self._request(body(picture, path, count, saved))
            if result is not None:
                for stage, seconds in times.items():
                    (result.first if count == 1 else result.later)[stage].append(seconds)
                for region in regions:
                    mask = rle.decode(region["value"]["rle"], picture.height, picture.width)
                    result.masks.append(mask > 127)
        self.accepted = (self.accepted + [other(region) for region in regions])[-3:]

    def _accepted(self, size: tuple[int, int]) -> list[Record]:
        """Return what the draft of a task with some objects looks like."""
        return [r for r in self.accepted if (r["original_width"], r["original_height"]) == size]

    def _request(self, content: Record) -> tuple[list[Record], dict[str, float]]:
        data = json.dumps(content).encode()
        self.stages.clear()
        begin = time.perf_counter()
        answer = self.post("/predict", data=data, content_type="application/json")
        total = time.perf_counter() - begin
        if answer.status_code != 200:
            raise BenchError(f"/predict answered {answer.status_code}: {answer.text[:200]}")
        times = {**self.stages, "http": total - sum(self.stages.values()), "total": total}
        return answer.json["results"][0]["result"], times
