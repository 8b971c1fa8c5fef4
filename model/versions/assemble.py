"""From a version's network and card to the predictor that serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from model.engines.base import Engine
from model.engines.flip import Mirrored
from model.inference import zoom
from model.inference.config import InferenceConfig
from model.inference.domain import Domain
from model.inference.predictor import MERGE_FROM, Predictor, ZoomIn
from model.inference.routing import RoutingPredictor
from model.inference.stretch import stretched_crop
from model.versions.checkpoint import LOOKS

Loaded = tuple[nn.Module, Mapping[str, Any]]  # a network and its card


def assemble(
    own: Loaded, fallback: Loaded | Predictor | None, engine: Callable[[nn.Module, int], Engine]
) -> Predictor:
    """Make the predictor of a version.

    Args:
        own: the version.
        fallback: the base model that its card names under "general", or the predictor of it that is in use
            already; None where the card names none or it is gone: then the version answers for every image.
        engine: makes an engine of a network and its input side in pixels.

    Raises:
        ValueError: the card's domain or inference cannot be read.
    """
    predictor = _predictor(own, engine)
    if fallback is None or "domain" not in own[1]:
        return predictor
    other = fallback if isinstance(fallback, Predictor) else _predictor(fallback, engine)
    return RoutingPredictor(predictor, other, Domain.from_json(own[1]["domain"]))


def _predictor(loaded: Loaded, engine: Callable[[nn.Module, int], Engine]) -> Predictor:
    network, card = loaded
    config = InferenceConfig.of(card)
    if config.flip:
        network = Mirrored(network)
    first = engine(network, card["size"])
    later, closer = (engine(network, card[key]) if key in card else None for key in LOOKS)
    return Predictor(
        first,
        card["encoding"]["name"],
        card["encoding"]["radius"],
        refine=config.refine,
        merge_from=MERGE_FROM if config.merge else None,
        later=later,
        closer=closer,
        large=engine(network, config.large_size) if config.large_size else None,
        large_from=config.large_from,
        zoom_in=_zoom_in(config),
    )


def _zoom_in(config: InferenceConfig) -> ZoomIn:
    if not config.stretch:
        return zoom.target_crop
    return partial(stretched_crop, expansion=config.expansion, min_side=config.min_side)
