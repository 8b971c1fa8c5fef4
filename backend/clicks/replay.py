"""The maps of one object, click by click: found in the sessions, or computed by replaying the clicks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from backend.clicks.map_cache import CacheKey, MapCache
from backend.clicks.target import Target
from backend.label_studio.predict_request import Prompt
from backend.metrics import Metrics
from model.click import Click
from model.inference.predictor import Predictor, box_prior


@dataclass(frozen=True)
class ClickSequence:
    """All that the map of an object depends on.

    Attributes:
        chain: model version, image and what the clicks are added to, by name.
        clicks: the clicks of this object, in order.
        start: the HxW uint8 map before the first of them; None for nothing.
        boxed: True where `start` is a box, from which the model makes a mask before any click.
    """

    chain: CacheKey
    clicks: tuple[Click, ...]
    start: np.ndarray | None = None
    boxed: bool = False

    @property
    def in_force(self) -> tuple[Click, ...]:
        """All clicks that the mask has to obey, earlier ones first."""
        return self.chain.base + self.clicks


def trail_of(prompt: Prompt, begin: Target, version: str, image: str) -> ClickSequence:
    """Name the maps of a prompt.

    Args:
        begin: what its clicks are added to.
        version: name of the model version.
        image: digest of the image's pixels.
    """
    if begin.start is not None:
        name = hashlib.blake2b(begin.start.tobytes(), digest_size=16).hexdigest()
        return ClickSequence(
            CacheKey(version, image, prompt.labels, f"map {name}", begin.clicks), prompt.clicks, begin.start
        )
    if prompt.box is not None:
        box = (prompt.box.left, prompt.box.top, prompt.box.right, prompt.box.bottom)
        prior = box_prior((prompt.height, prompt.width), box)
        return ClickSequence(
            CacheKey(version, image, prompt.labels, f"box {box}"), prompt.clicks, prior, boxed=True
        )
    return ClickSequence(CacheKey(version, image, prompt.labels), prompt.clicks)


def follow(
    trail: ClickSequence, predictor: Predictor, image: np.ndarray, sessions: MapCache, metrics: Metrics
) -> np.ndarray:
    """Return the map (HxW uint8) after all clicks of ``trail``; ``image`` is HxWx3 uint8 RGB.

    Every map on the way is kept in ``sessions``, so that any prefix of the clicks is a hit next time.
    """
    values, done = trail.start, 0
    first = 0 if trail.boxed else 1
    with metrics.stage("session"):
        for count in range(len(trail.clicks), first - 1, -1):
            found = sessions.get(trail.chain.key(trail.clicks[:count]))
            if found is not None:
                values, done, first = found[0], count, count + 1
                break
        metrics.sessions.labels(_where(trail, done, found[1] if found else None)).inc()
    with metrics.stage("predict"):
        for count in range(first, len(trail.clicks) + 1):
            values = predictor.predict(image, trail.in_force[: len(trail.chain.base) + count], values)
            sessions.put(trail.chain.key(trail.clicks[:count]), values)
    if values is None:
        raise ValueError("neither clicks nor a box nor a mask to go on from")
    return values


def before(trail: ClickSequence, sessions: MapCache) -> np.ndarray | None:
    """Return the map that the newest click was placed on, as far as it is still known; None for nothing."""
    if not trail.clicks:
        return trail.start
    found = sessions.get(trail.chain.key(trail.clicks[:-1]))
    return trail.start if found is None else found[0]


def _where(trail: ClickSequence, done: int, place: str | None) -> str:
    """Say for the metrics where the state before the last click came from."""
    if place is not None and done >= len(trail.clicks) - 1:
        return place
    return "replay" if len(trail.clicks) > 1 else "new"
