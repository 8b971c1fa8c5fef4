"""Learn to propose: train a head for a project's click model, and let the gate judge it on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from fine_tune.data.encoded_image import EncodedImage
from fine_tune.data.lazy_sequence import LazySequence
from fine_tune.proposals.gate import FEW_IMAGES, ImageActions, expect, judge, measure_image
from fine_tune.proposals.training import STEPS, CompleteImage, train_head
from model.evaluation.datasets import spread
from model.evaluation.evaluate import Predicts
from model.inference.predictor import Predictor
from model.proposals.head import HeatMaps, UnsupportedNetwork
from model.proposals.propose import propose
from model.proposals.trained import TrainedHead
from model.versions.assemble import Loaded

TRAINED_ON = 48  # images at most, as their features are kept in memory
JUDGED_ON = 16  # images at most
TRAINING = 0.3  # share of the work; the rest is judging


@dataclass(frozen=True)
class LearnedHead:
    """What became of the head.

    Attributes:
        facts: for the version's card: offered, reason, the gate's figures, and what a proposer needs.
        tensors: of the head where its proposals are offered, else empty.
    """

    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def offered(self) -> bool:
        """Whether proposals are to be shown to annotators."""
        return bool(self.facts["offered"])


@dataclass(frozen=True)
class Models:
    """What answers clicks.

    Attributes:
        loaded: network and card, on whose features the head is trained.
        looker: answers the clicks of proposals, see `model.proposals.trained.make_looker`.
        predictor: answers those of the simulated annotator; must bear calls from several threads.
    """

    loaded: Loaded
    looker: Predictor
    predictor: Predicts


def learn(
    models: Models,
    train: Sequence[EncodedImage],
    held_out: Sequence[EncodedImage],
    lanes: int = 1,
    on_share: Callable[[float], None] = lambda share: None,
) -> LearnedHead:
    """Train a head and judge it.

    Args:
        train, held_out: images whose annotation is complete.
        lanes: images that are judged at once.
        on_share: told the share that is done, 0..1; what it raises ends the learning.
    """
    train, held_out = ([image for image in part if _named(image)] for part in (train, held_out))
    names = tuple(sorted({label for image in train for label in _named(image)}))
    if not names:
        return LearnedHead({"offered": False, "reason": "there is no object to learn from"})
    held_out = list(
        {image.name: image for image in held_out}.values()
    )  # two tasks may share one, which tells once
    if len(held_out) < FEW_IMAGES:
        reason = f"only {len(held_out)} images are held out, at least {FEW_IMAGES} are needed to tell"
        return LearnedHead({"offered": False, "reason": reason})
    images = LazySequence(spread(train, TRAINED_ON), lambda image: CompleteImage.of(image, names))
    try:
        maps = train_head(
            models.loaded[0], images, len(names), STEPS, lambda done, of: on_share(TRAINING * done / of)
        )
    except UnsupportedNetwork as error:
        return LearnedHead({"offered": False, "reason": str(error)})
    judged = spread(held_out, JUDGED_ON)
    actions = []
    for measured in _measured(models, maps, judged, names, lanes):
        actions.append(measured)
        on_share(TRAINING + (1 - TRAINING) * len(actions) / len(judged))
    verdict = judge(actions, len(names))
    facts = verdict.as_json() | TrainedHead(maps, names, verdict.thresholds, expect(actions)).facts()
    return LearnedHead(facts, maps.head.state_dict() if verdict.offered else {})


def _named(image: EncodedImage) -> list[str]:
    """List the labels of an image's objects that can be proposed."""
    return [label for label in image.labels if label is not None]


def _measured(
    models: Models, maps: HeatMaps, images: Sequence[EncodedImage], names: Sequence[str], lanes: int
) -> Iterator[ImageActions]:
    def measure(encoded: EncodedImage) -> ImageActions:
        image = CompleteImage.of(encoded, names)
        return measure_image(propose(maps, models.looker, image.image), models.predictor, image)

    with ThreadPoolExecutor(lanes) as pool:
        try:
            yield from pool.map(measure, images)
        finally:
            pool.shutdown(cancel_futures=True)
