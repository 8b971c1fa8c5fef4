"""The models of a fine-tuning job: the base, the one that the project is served with, and what becomes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from safetensors.torch import save as to_safetensors
from torch import nn

from fine_tune.training.fine_tuner import interpolate_weights
from model.engines.base import Engine
from model.inference.predictor import Predictor
from model.versions import checkpoint
from model.versions.assemble import Loaded, assemble
from model.versions.checkpoint import LOOKS, CheckpointError
from model.versions.registry import Registry


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded version, or a candidate for one.

    Attributes:
        name: of the version; of the parent, for a candidate.
        network, card: what a version consists of.
        fallback: network and card of the base version that answers for images of other domains, see
            `model.versions.assemble`; None where the model answers for every image.
    """

    name: str
    network: nn.Module
    card: Mapping[str, Any]
    fallback: Loaded | None = None

    @cached_property
    def digest(self) -> str:
        """Name what the answers depend on by sixteen hex digits: weights, card and fallback."""
        digest = hashlib.sha256()
        for network, card in ((self.network, self.card), *((self.fallback,) if self.fallback else ())):
            tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
            digest.update(to_safetensors(tensors))
            keys = ("architecture", "encoding", "size", "inference", *LOOKS, "domain")
            digest.update(json.dumps([card.get(key) for key in keys], sort_keys=True).encode())
        return digest.hexdigest()[:16]

    def predictor(self, engine: Callable[[nn.Module, int], Engine]) -> Predictor:
        """Assemble the predictor, with engines made of a network and its input side in pixels."""
        return assemble((self.network, self.card), self.fallback, engine)


@dataclass(frozen=True)
class Lineage:
    """What a job starts from.

    Attributes:
        base: the promoted base version.
        parent: the version that the project is served with, from which training starts; the base where there is none.
    """

    base: Model
    parent: Model

    @classmethod
    def load(cls, registry: Registry, line: str, on_problem: Callable[[str], None]) -> Lineage:
        """Load the models of a line; a damaged version is passed over, which `on_problem` is told.

        Raises:
            CheckpointError: not even the base model can be loaded.
        """
        version = registry.ensure_base()
        base = Model(version.name, *checkpoint.load(version.path))
        current = registry.current(line)
        if current is None:
            return cls(base, base)
        try:
            network, card = checkpoint.load(current.path)
            fallback = registry.fallback(card)
            loaded = checkpoint.load(fallback.path) if fallback else None
            return cls(base, Model(current.name, network, card, loaded))
        except CheckpointError as error:
            on_problem(f"{current.name} is passed over, training starts from {version.name}: {error}")
            return cls(base, base)

    @property
    def anchor(self) -> Model:
        """What the tuned network is held by: the base, or the parent where the base has another architecture or
        sees clicks in another way."""
        alike = all(self.base.card[key] == self.parent.card[key] for key in ("architecture", "encoding"))
        return self.base if alike else self.parent

    def card(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Describe a version that is trained from the parent; `facts` are added to what it takes over."""
        keys = ("architecture", "encoding", "size", "inference", "terms", *LOOKS)
        taken_over = {key: self.parent.card[key] for key in keys if key in self.parent.card}
        return {**taken_over, "parent": self.parent.name, "general": self.base.name, **facts}

    def candidate(self, tuned: nn.Module, alpha: float, card: Mapping[str, Any]) -> Model:
        """Interpolate between the anchor (`alpha` 0) and the tuned network (1)."""
        network = interpolate_weights(self.anchor.network, tuned, alpha)
        return replace(self.parent, network=network, card=card, fallback=(self.base.network, self.base.card))
