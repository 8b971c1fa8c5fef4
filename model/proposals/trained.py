"""A trained head for proposals with what must be known to use it, and the proposer that it makes of a version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model.engines.base import Engine
from model.errors import ClickmaskError
from model.inference.domain import Domain
from model.inference.predictor import Predictor
from model.networks import nearest_size
from model.proposals.expectation import Expectation
from model.proposals.head import Head, HeatMaps, channels
from model.proposals.propose import LEAST_HEAT, MOST, Proposal, propose
from model.versions import checkpoint
from model.versions.assemble import Loaded

CARD_KEY = "proposals"
SIDE = 256  # input side in pixels of the click model; masks are no better at 384 (docs/trials/proposals.md)


class HeadError(ClickmaskError, ValueError):
    """The head of a version cannot be used; the message says why."""


@dataclass(frozen=True)
class TrainedHead:
    """A head and what belongs to it.

    Attributes:
        maps: the head on its encoder.
        labels: label names, in the order of the heat maps.
        thresholds: least score of a proposal that is offered, by label.
        expectation: the IoU that scores stand for; None where that is not known.
    """

    maps: HeatMaps
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    expectation: Expectation | None = None

    def facts(self) -> dict[str, Any]:
        """Return what a card must say of it, as plain values."""
        return {
            "labels": list(self.labels),
            "thresholds": list(self.thresholds),
            "scale": self.maps.scale,
            "expectation": self.expectation and self.expectation.as_json(),
        }


class Proposer:
    """Proposes the objects of an image, for one version of a click model.

    Args:
        trained: the head.
        looker: the click model that answers its clicks, see `make_looker`.
        domain: kind of the images that the head was trained on; None where that is not known.
    """

    def __init__(self, trained: TrainedHead, looker: Predictor, domain: Domain | None) -> None:
        self.labels, self.expectation = trained.labels, trained.expectation
        self._trained, self._looker, self._domain = trained, looker, domain

    def covers(self, image: np.ndarray) -> bool:
        """Tell whether an image (HxWx3 uint8 RGB) is of the kind that the head was trained on."""
        return self._domain is None or self._domain.covers(image)

    def propose(self, image: np.ndarray, most: int = MOST) -> list[Proposal]:
        """Propose objects on an image (HxWx3 uint8 RGB) whose score reaches their label's threshold, best first.

        Their score is the expected IoU where that is known.

        Args:
            most: at most so many.
        """
        thresholds = self._trained.thresholds
        least = max(min(thresholds), LEAST_HEAT)  # no score is above its peak's height
        found = propose(self._trained.maps, self._looker, image, MOST, least)
        offered = [proposal for proposal in found if proposal.score >= thresholds[proposal.label]][:most]
        if self.expectation is None:
            return offered
        return [replace(proposal, score=self.expectation.of(proposal.score)) for proposal in offered]

    def doubt(self, image: np.ndarray) -> float:
        """Compute how much the model doubts what is on an image (HxWx3 uint8 RGB), 0..1.

        It is the mean over all places that may be objects, 1 where the score says nothing (0.5), and 0 where it is
        sure; 1 for an image without any such place, of which nothing is known.
        """
        scores = [found.score for found in propose(self._trained.maps, self._looker, image, MOST)]
        return float(np.mean([1 - abs(2 * score - 1) for score in scores])) if scores else 1.0


def make_looker(loaded: Loaded, engine: Callable[[nn.Module, int], Engine]) -> Predictor:
    """Make the predictor that answers the clicks of proposals.

    It looks at `SIDE` pixels: what it is shown is cut to the object's size already.

    Args:
        engine: makes an engine of a network and its input side in pixels.
    """
    network, card = loaded
    encoding = card["encoding"]
    return Predictor(
        engine(network, nearest_size(SIDE, network)), encoding["name"], encoding["radius"], refine=False
    )


def load_proposer(
    folder: Path, loaded: Loaded, engine: Callable[[nn.Module, int], Engine]
) -> Proposer | None:
    """Load the proposer of a version; None where its proposals are not offered.

    Args:
        folder: of the checkpoint that `loaded` was loaded from.

    Raises:
        HeadError: the card promises proposals, and the head does not fit it.
    """
    network, card = loaded
    facts = card.get(CARD_KEY)
    if not isinstance(facts, Mapping) or not facts.get("offered"):
        return None
    try:
        labels, thresholds = tuple(map(str, facts["labels"])), tuple(map(float, facts["thresholds"]))
        if len(labels) != len(thresholds) or not labels:
            raise ValueError(f"{len(labels)} labels with {len(thresholds)} thresholds")
        head = Head(channels(network), len(labels))
        head.load_state_dict(checkpoint.load_head(folder))
        if not all(torch.isfinite(value).all() for value in head.state_dict().values()):
            raise ValueError("it holds NaN or infinite values")
        maps = HeatMaps(deepcopy(network), head, float(facts["scale"]))
        told = facts.get("expectation")  # not on cards of older versions
        expectation = Expectation.from_json(told) if told else None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise HeadError(
            f"{folder}: the head for proposals does not fit its card ({error}): fine-tune the project again, or "
            "copy the version's folder again"
        ) from None
    described = card.get("domain", facts.get("domain"))
    domain = None if described is None else Domain.from_json(described)
    return Proposer(TrainedHead(maps, labels, thresholds, expectation), make_looker(loaded, engine), domain)
