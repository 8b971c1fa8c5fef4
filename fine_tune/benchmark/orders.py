"""Does it matter which image is annotated next? `clickmask next`'s order against a random one, by actions an image.

A head for proposals is trained on the first 10, 20 and 40 images of either order and judged on the same images of
the public part. The click model stays as it is: give one that was tuned on the set's first 30 images, which are left
out (`fine_tune.benchmark.sets` draws them first).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from fine_tune.benchmark.sets import read_labelled
from fine_tune.proposals.gate import ImageActions, judge, measure_image
from fine_tune.proposals.teaching import teaching_order
from fine_tune.proposals.training import CompleteImage, train_head
from model.engines.base import Engine
from model.engines.factory import create_engine
from model.inference.domain import describe
from model.inference.predictor import Predictor
from model.proposals.propose import propose
from model.proposals.trained import Proposer, TrainedHead, make_looker
from model.versions import checkpoint
from model.versions.assemble import assemble

SIZES = (10, 20, 40)  # annotated images
FIRST = 5  # are annotated before anything can be ranked
TUNED_ON = 30  # images of the train part that are left out: a tuned click model may have seen them
POOL = 70  # images to choose from
JUDGED = 12  # images of the public part
OBJECTS = 6  # clicked by hand on each of them
COLUMNS = ("set", "images", "seed", "by hand", "random", "next", "next / random")
Note = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Annotators:
    """A click model that looks at the peaks of a head, and answers an annotator's clicks."""

    network: nn.Module
    looker: Predictor
    predictor: Predictor

    @classmethod
    def load(cls, version: Path, device: str) -> Annotators:
        """Load a version's click model."""
        loaded = checkpoint.load(version)

        def engine(network: nn.Module, size: int) -> Engine:
            return create_engine(network, size, device, graphs=False)

        return cls(loaded[0], make_looker(loaded, engine), assemble(loaded, None, engine))

    def learn(self, images: Sequence[CompleteImage]) -> TrainedHead:
        """Train a head on some images."""
        return TrainedHead(train_head(self.network, images, 1), ("",), (0.0,))

    def count(self, head: TrainedHead, image: CompleteImage) -> ImageActions:
        """Count clicks by hand on an image, and what proposals save there."""
        return measure_image(propose(head.maps, self.looker, image.image), self.predictor, image, OBJECTS)


class Pool:
    """Images to choose from, with their descriptions."""

    def __init__(self, images: Sequence[CompleteImage]) -> None:
        self.images = images
        self._descriptions = np.stack([describe(image.image) for image in images])

    def chosen_next(self, annotators: Annotators, known: Sequence[int], head: TrainedHead) -> list[int]:
        """Order the images that are not `known` (places) by what `clickmask next` expects them to teach."""
        rest = [place for place in range(len(self.images)) if place not in known]
        proposer = Proposer(head, annotators.looker, None)
        doubts = np.array([proposer.doubt(self.images[place].image) for place in rest])
        order = teaching_order(self._descriptions[rest], self._descriptions[list(known)], doubts)
        return [rest[place] for place, _ in order]


def grown(annotators: Annotators, pool: Pool, start: Sequence[int]) -> Iterator[tuple[int, TrainedHead]]:
    """Annotate as `clickmask next` says, beginning with `start` (places); yield every size with what it teaches."""
    known, head = list(start), annotators.learn([pool.images[place] for place in start])
    for size in SIZES:
        known += pool.chosen_next(annotators, known, head)[: size - len(known)]
        head = annotators.learn([pool.images[place] for place in known])
        yield size, head


def measure_orders(folder: Path, version: Path, seeds: int, device: str, note: Note) -> None:
    """Compare both orders on a set; `note` gets a row by column for every size and seed.

    Args:
        version: folder of the click model.
    """
    annotators = Annotators.load(version, device)
    pool = Pool(_complete(folder, "train", TUNED_ON + POOL)[TUNED_ON:])
    judged = _complete(folder, "public", JUDGED)
    for seed in range(seeds):
        drawn = [int(place) for place in np.random.default_rng(seed).permutation(len(pool.images))]
        for size, head in grown(annotators, pool, drawn[:FIRST]):
            heads = annotators.learn([pool.images[place] for place in drawn[:size]]), head
            found = [judge([annotators.count(each, image) for image in judged], 1) for each in heads]
            actions = [verdict.actions for verdict in found]
            values = [folder.name, size, seed, found[0].by_hand, *actions, actions[1] / actions[0]]
            note(dict(zip(COLUMNS, values, strict=True)))


def _complete(folder: Path, part: str, count: int) -> list[CompleteImage]:
    return [
        CompleteImage(image.image, image.masks, [0] * len(image.masks))
        for image in read_labelled(folder, part, count)
    ]
