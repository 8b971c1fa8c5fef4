"""A version of the packaged weights that proposes discs: its head learned from drawn scenes, once for a whole run."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

import model
from fine_tune.proposals.training import train_head
from model.inference.domain import Domain, describe
from model.proposals.trained import CARD_KEY, TrainedHead
from model.versions import checkpoint
from model.versions.assemble import Loaded
from model.versions.registry import Registry, Version
from tests.fine_tune.proposals.drawn import discs

SCENES = 4
WEIGHTS = Path(model.__file__).parent / "weights"


@lru_cache
def packaged() -> Loaded:
    """The packaged network with its card."""
    return checkpoint.load(WEIGHTS)


@lru_cache
def learned() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the card says of the head, and its tensors."""
    scenes = [discs(seed) for seed in range(SCENES)]
    maps = train_head(packaged()[0], scenes, 1, steps=60)
    facts = TrainedHead(maps, ("Disc",), (0.25,)).facts()
    domain = Domain.of([describe(scene.image) for scene in scenes]).as_json()
    more = {"offered": True, "reason": "5.0 objects an image: 7.0 clicks by hand", "domain": domain}
    return {**facts, **more}, maps.head.state_dict()


def add_proposing(registry: Registry, project: int = 3, **changes: Any) -> Version:
    """Serve a project with it; `changes` of what the card says of the head."""
    facts, tensors = learned()
    network, card = packaged()
    version = registry.add(f"project-{project}", network, {**card, CARD_KEY: {**facts, **changes}}, tensors)
    registry.promote(version)
    return version
