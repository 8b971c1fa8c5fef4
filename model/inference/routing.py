"""A fine-tuned model that answers for images like those it learned from; the base model answers for all others.

So what a project teaches cannot spoil the answers for images that have nothing to do with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from model.engines.engine import Engine
from model.inference.domain import Domain
from model.inference.predictor import Predictor, Request
from model.versions.checkpoint import LOOKS

REMEMBERED = 64  # images whose kind is known without looking again

Loaded = tuple[nn.Module, Mapping[str, Any]]  # a network and its card


class RoutingPredictor(Predictor):
    """A predictor with another one for the images that are not its own.

    Args:
        own: for the images that `domain` covers.
        general: for the others.
    """

    def __init__(self, own: Predictor, general: Predictor, domain: Domain) -> None:
        super().__init__(
            own.engine, own.encoding, own.radius, own.refine, own.merge_from, own.later, own.closer
        )
        self.general, self.domain = general, domain
        self._known: dict[int, tuple[weakref.ref[np.ndarray], bool]] = {}

    def predict_many(self, requests: Sequence[Request]) -> list[np.ndarray]:
        """See `Predictor.predict_many`."""
        covered = [self._covers(request.image) for request in requests]
        own = [r for r, mine in zip(requests, covered, strict=True) if mine]
        foreign = [r for r, mine in zip(requests, covered, strict=True) if not mine]
        answers = iter(super().predict_many(own)), iter(self.general.predict_many(foreign))
        return [next(answers[0] if mine else answers[1]) for mine in covered]

    def _covers(self, image: np.ndarray) -> bool:
        """Looks once at an image that several clicks are placed on."""
        known = self._known.get(id(image))
        if known is not None and known[0]() is image:  # an address is used again when its image is gone
            return known[1]
        if len(self._known) >= REMEMBERED:
            self._known = {}
        covered = self.domain.covers(image)
        self._known[id(image)] = weakref.ref(image), covered
        return covered


def assemble(own: Loaded, general: Loaded | None, engine: Callable[[nn.Module, int], Engine]) -> Predictor:
    """The predictor of a version.

    Args:
        own: the version.
        general: the base model that its card names; None where the card names none or it is gone: then the
            version answers for every image.
        engine: makes an engine of a network and its input side in pixels.

    Raises:
        ValueError: the card's domain cannot be read.
    """
    predictor = _predictor(own, engine)
    if general is None or "domain" not in own[1]:
        return predictor
    return RoutingPredictor(predictor, _predictor(general, engine), Domain.from_json(own[1]["domain"]))


def _predictor(loaded: Loaded, engine: Callable[[nn.Module, int], Engine]) -> Predictor:
    network, card = loaded
    name, radius = card["encoding"]["name"], card["encoding"]["radius"]
    first = engine(network, card["size"])
    later, closer = (engine(network, card[key]) if key in card else None for key in LOOKS)
    return Predictor(first, name, radius, later=later, closer=closer)
