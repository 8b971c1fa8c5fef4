"""A fine-tuned model answers for images like those it learned from, the base model for all others.

So what a project teaches cannot spoil the answers for images that have nothing to do with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np

from model.inference.domain import Domain
from model.inference.predictor import Predictor, Request

REMEMBERED = 64  # images whose kind is known without looking again


class RoutingPredictor(Predictor):
    """Send each image to the predictor that knows its kind.

    Args:
        own: for the images that `domain` covers.
        fallback: for the others.
    """

    def __init__(self, own: Predictor, fallback: Predictor, domain: Domain) -> None:
        vars(self).update(vars(own))  # it asks as `own` does
        self.fallback, self.domain = fallback, domain
        self._known: dict[int, tuple[weakref.ref[np.ndarray], bool]] = {}

    def predict_many(self, requests: Sequence[Request]) -> list[np.ndarray]:
        """See `Predictor.predict_many`."""
        covered = [self._covers(request.image) for request in requests]
        own = [r for r, mine in zip(requests, covered, strict=True) if mine]
        foreign = [r for r, mine in zip(requests, covered, strict=True) if not mine]
        answers = iter(super().predict_many(own)), iter(self.fallback.predict_many(foreign))
        return [next(answers[0] if mine else answers[1]) for mine in covered]

    def _covers(self, image: np.ndarray) -> bool:
        """Look once at an image that several clicks are placed on."""
        known = self._known.get(id(image))
        if known is not None and known[0]() is image:  # an address is used again when its image is gone
            return known[1]
        if len(self._known) >= REMEMBERED:
            self._known = {}
        covered = self.domain.covers(image)
        self._known[id(image)] = weakref.ref(image), covered
        return covered
