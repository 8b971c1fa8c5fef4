"""From a version in the registry to a model that answers."""

from __future__ import annotations

import logging
import weakref
from dataclasses import dataclass

import numpy as np
from torch import nn

from backend.serving.batching import BatchingEngine
from backend.settings import Settings
from model.engines.base import Engine
from model.engines.factory import create_engine
from model.engines.flip import FlipTTA
from model.inference.predictor import Predictor
from model.proposals.trained import HeadError, Proposer, load_proposer
from model.versions import checkpoint
from model.versions.assemble import Loaded, assemble
from model.versions.registry import Registry, Version

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model in use. It stays usable for those who hold it after another version took its place.

    Attributes:
        version: name of the version, ``<line>-<ordinal>-<hash8>``.
        device: what it runs on, for people to read.
        proposer: proposes objects where nobody has clicked; None where the version offers no proposals.
    """

    version: str
    device: str
    predictor: Predictor
    proposer: Proposer | None = None


class Loader:
    """Load versions, each of them once: the base model that several projects fall back to is shared by them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry = Registry(settings.home, settings.registry)
        self._loaded: weakref.WeakValueDictionary[str, Predictor] = weakref.WeakValueDictionary()
        self._proposers: weakref.WeakValueDictionary[str, Proposer] = weakref.WeakValueDictionary()
        self._devices: dict[str, str] = {}

    def __call__(self, version: Version) -> LoadedModel:
        """Load one version and run it once, so that the first click does not pay for it.

        Raises:
            CheckpointError: the files are corrupt or do not fit together; that stays so.
            UnreadableError: they cannot be read now (`model.versions.checkpoint`); trying again may help.
            EngineError: the device cannot be used now; trying again may help.
            ValueError: the settings name a device that needs a package which is not installed.
        """
        predictor, proposer = self._loaded.get(version.name), self._proposers.get(version.name)
        if predictor is None:
            own = checkpoint.load(version.path)
            fallback = self._registry.fallback(own[1])
            predictor = self._keep(version, own, self._base(fallback) if fallback else None)
            proposer = self._proposer(version, own)
        return LoadedModel(version.name, self._devices[version.name], predictor, proposer)

    def _proposer(self, version: Version, own: Loaded) -> Proposer | None:
        """Load what proposes objects; where that fails, clicks are answered all the same."""
        try:
            proposer = load_proposer(version.path, own, self._engine)
        except HeadError as error:
            logger.error("%s proposes nothing: %s", version.name, error)
            return None
        if proposer is not None:
            self._proposers[version.name] = proposer
        return proposer

    def _base(self, version: Version) -> Predictor:
        """Return the predictor of a base version, which falls back to no other one."""
        return self._loaded.get(version.name) or self._keep(version, checkpoint.load(version.path), None)

    def _keep(self, version: Version, own: Loaded, fallback: Predictor | None) -> Predictor:
        engines: list[Engine] = []

        def engine(network: nn.Module, size: int) -> Engine:
            engines.append(self._engine(network, size))
            return engines[-1]

        predictor = assemble(own, fallback, engine)
        self._devices[version.name] = engines[0].device
        self._loaded[version.name] = predictor
        return predictor

    def _engine(self, network: nn.Module, size: int) -> Engine:
        settings = self._settings
        batch = min(settings.batch_size, settings.slots)  # more requests than slots never wait at once
        made = create_engine(
            network,
            size,
            settings.device,
            settings.home / "engines",
            settings.threads,
            settings.precision,
            batch * (2 if settings.flip else 1),
        )
        shared = BatchingEngine(
            FlipTTA(made) if settings.flip else made, batch if made.device.startswith("cuda") else 1
        )
        shared.run(np.zeros((1, size, size, 3), np.uint8), np.zeros((1, 3, size, size), np.float32))
        return shared


def load(version: Version, settings: Settings) -> LoadedModel:
    """Load one version alone; see `Loader`."""
    return Loader(settings)(version)
