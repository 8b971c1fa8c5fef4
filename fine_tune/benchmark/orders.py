"""Does it matter which image is annotated next? `clickmask next`'s order against a random one, by actions an image.

A head for proposals is trained on the first 10, 20 and 40 images of either order and judged on the same images of
the public part. The click model stays as it is: give one that was tuned on the set's first 30 images, which are left
out (`fine_tune.benchmark.sets` draws them first).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fine_tune.benchmark.sets import read_complete
from fine_tune.proposals.active_learning import query_order
from fine_tune.proposals.gate import Verdict, judge, measure_image
from fine_tune.proposals.learning import Models
from fine_tune.proposals.training import CompleteImage, train_head
from model.engines.factory import create_engine
from model.inference.domain import describe
from model.proposals.propose import propose
from model.proposals.trained import Proposer, TrainedHead, make_looker
from model.versions import checkpoint
from model.versions.assemble import assemble

SIZES = (10, 20, 40)  # annotated images
FIRST = 5  # are annotated before anything can be ranked
TUNED_ON = 30  # images of the train part that are left out: a tuned click model may have seen them
POOL = 70  # images to choose from
JUDGED = 12  # images of the public part
OBJECTS = 6  # of each kind are clicked by hand on each of them
COLUMNS = ("set", "images", "seed", "by hand", "random", "next", "next / random")
Note = Callable[[dict[str, Any]], None]


class Pool:
    """Images to choose from, with their descriptions."""

    def __init__(self, images: Sequence[CompleteImage]) -> None:
        self.images = images
        self._descriptions = np.stack([describe(image.image) for image in images])

    def chosen_next(self, models: Models, known: Sequence[int], head: TrainedHead) -> list[int]:
        """Order the images that are not `known` (places) by what `clickmask next` expects them to teach."""
        rest = [place for place in range(len(self.images)) if place not in known]
        proposer = Proposer(head, models.looker, None)
        doubts = np.array([proposer.doubt(self.images[place].image) for place in rest])
        order = query_order(self._descriptions[rest], self._descriptions[list(known)], doubts)
        return [rest[place] for place, _ in order]


def grown(models: Models, pool: Pool, start: Sequence[int]) -> Iterator[tuple[int, TrainedHead]]:
    """Annotate as `clickmask next` says, beginning with `start` (places); yield every size with what it teaches."""
    known, head = list(start), _learned(models, [pool.images[place] for place in start])
    for size in SIZES:
        known += pool.chosen_next(models, known, head)[: size - len(known)]
        head = _learned(models, [pool.images[place] for place in known])
        yield size, head


def measure_orders(folder: Path, version: Path, seeds: int, device: str, note: Note) -> None:
    """Compare both orders on a set; `note` gets a row by column for every size and seed.

    Args:
        version: folder of the click model.
    """
    models = _load(version, device)
    pool = Pool(read_complete(folder, "train", TUNED_ON + POOL)[TUNED_ON:])
    # With the clicks of objects that were counted.
    judged = [(image, dict[int, int]()) for image in read_complete(folder, "public", JUDGED)]
    for seed in range(seeds):
        drawn = [int(place) for place in np.random.default_rng(seed).permutation(len(pool.images))]
        for size, head in grown(models, pool, drawn[:FIRST]):
            heads = _learned(models, [pool.images[place] for place in drawn[:size]]), head
            found = [_judged(models, each, judged) for each in heads]
            actions = [verdict.actions for verdict in found]
            values = [folder.name, size, seed, found[0].by_hand, *actions, actions[1] / actions[0]]
            note(dict(zip(COLUMNS, values, strict=True)))


def _load(version: Path, device: str) -> Models:
    """Load the click model of a version, which looks at peaks and answers clicks."""
    loaded, engine = checkpoint.load(version), partial(create_engine, device=device, graphs=False)
    return Models(loaded, make_looker(loaded, engine), assemble(loaded, None, engine))


def _learned(models: Models, images: Sequence[CompleteImage]) -> TrainedHead:
    return TrainedHead(train_head(models.loaded[0], images, 1), ("",), (0.0,))


def _judged(
    models: Models, head: TrainedHead, images: Sequence[tuple[CompleteImage, dict[int, int]]]
) -> Verdict:
    counted = []
    for image, known in images:
        found = propose(head.maps, models.looker, image.image)
        counted.append(measure_image(found, models.predictor, image, OBJECTS, known))
    return judge(counted, 1)
