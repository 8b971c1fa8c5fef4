"""Computes the map of one object click by click; clicks whose map is cached are not computed again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from backend.clicks.map_cache import CacheKey, MapCache
from backend.clicks.target import Target
from backend.label_studio.predict_request import Prompt
from backend.metrics import Metrics
from backend.serving.loader import LoadedModel
from model.click import Click
from model.inference.predictor import Predictor, box_prior


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
    def of(prompt: Prompt, target: Target, model: LoadedModel, image: str) -> ClickSequence:
        """Describe what a prompt asks for.

        Args:
            target: what its clicks are added to.
            model: answers it.
            image: digest of the image's pixels.
        """
        plain = CacheKey(model.version, image, prompt.labels, device=model.device)
        if target.start is not None:
            name = hashlib.blake2b(target.start.tobytes(), digest_size=16).hexdigest()
            key = replace(plain, start=f"map {name}", base=target.clicks)
            return ClickSequence(key, prompt.clicks, target.start)
        if prompt.box is not None:
            box = (prompt.box.left, prompt.box.top, prompt.box.right, prompt.box.bottom)
            prior = box_prior((prompt.height, prompt.width), box)
            key = replace(plain, start=f"box {box}")
            return ClickSequence(key, prompt.clicks, prior, boxed=True)
        return ClickSequence(plain, prompt.clicks)

    @property
    def in_force(self) -> tuple[Click, ...]:
        """All clicks that the mask has to obey, earlier ones first."""
        return self.key.base + self.clicks

    @property
    def empty(self) -> bool:
        """True where there is nothing that a mask could be made of: negative clicks on nothing."""
        return self.start is None and not any(click.positive for click in self.clicks)


def replay(
    sequence: ClickSequence, predictor: Predictor, image: np.ndarray, maps: MapCache, metrics: Metrics
) -> np.ndarray:
    """Compute the map (HxW uint8) after all clicks of a sequence that is not empty.

    Every map on the way is cached, so that any prefix of the clicks is a hit next time.

    Args:
        image: HxWx3 uint8 RGB.
    """
    values, done = sequence.start, 0
    first = 0 if sequence.boxed else 1
    with metrics.stage("session"):
        for count in range(len(sequence.clicks), first - 1, -1):
            found = maps.get(sequence.key.name(sequence.clicks[:count]))
            if found is not None:
                values, done, first = found[0], count, count + 1
                break
        metrics.sessions.labels(_where(sequence, done, found[1] if found else None)).inc()
    with metrics.stage("predict"):
        for count in range(first, len(sequence.clicks) + 1):
            values = predictor.predict(image, sequence.in_force[: len(sequence.key.base) + count], values)
            maps.put(sequence.key.name(sequence.clicks[:count]), values)
    if values is None:
        raise ValueError("neither clicks nor a box nor a mask to go on from")
    return values


def map_before(sequence: ClickSequence, maps: MapCache) -> np.ndarray | None:
    """Return the map (HxW uint8) that the newest click was placed on, where it is still known; None for nothing."""
    if not sequence.clicks:
        return sequence.start
    found = maps.get(sequence.key.name(sequence.clicks[:-1]))
    return sequence.start if found is None else found[0]


def _where(sequence: ClickSequence, done: int, place: str | None) -> str:
    """Say for the metrics where the map before the last click came from."""
    if place is not None and done >= len(sequence.clicks) - 1:
        return place
    return "replay" if len(sequence.clicks) > 1 else "new"
