"""Data of the quality model: objects to annotate, and simulated annotations of them in a file.

The file has one JSON line for each annotation, with its true IoU, so that training is quick to repeat.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fine_tune.data.augment import MIN_AREA
from fine_tune.data.encoded_image import EncodedImage
from fine_tune.data.object_sampler import weight_of
from fine_tune.quality.annotators import Annotator, Kind
from fine_tune.quality.network import Trace
from fine_tune.quality.simulated_annotation import Annotation, Subject, annotate
from fine_tune.quality.simulated_proposal import with_proposal
from fine_tune.quality.steps import RENAMED, Effect, Step
from model.image_file import read_image
from model.inference.predictor import Predictor
from model.mask_file import IGNORE, read_ids

BAD = 0.85  # an IoU below this is a mask to review
REACH = 15  # pixels around an object in which its neighbours are looked for


def pick_object(ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Pick one object of an HxW uint8 id map and the neighbour with the longest common border, as HxW bool.

    Returns None where no object has a fitting size.
    """
    values, areas = np.unique(ids, return_counts=True)
    fit = (values != 0) & (values != IGNORE) & (areas >= MIN_AREA) & (areas <= 0.8 * ids.size)
    if not fit.any():
        return None
    chosen = rng.choice(values[fit])
    truth = ids == chosen
    around = cv2.dilate(truth.view(np.uint8), np.ones((2 * REACH + 1,) * 2, np.uint8)) > 0
    others = ids[around & ~truth]
    others = others[(others != 0) & (others != IGNORE)]
    neighbour = ids == np.bincount(others).argmax() if others.size else None
    return truth, neighbour


def draw_subjects(images: Sequence[EncodedImage], rng: np.random.Generator) -> Iterator[Subject]:
    """Draw subjects without end: first a set, as often as it is trained on, then an image, then an object."""
    groups: dict[str, list[tuple[int, EncodedImage]]] = {}
    for index, encoded in enumerate(images):
        groups.setdefault(encoded.name, []).append((index, encoded))
    names = list(groups)
    weights = np.array([weight_of(name) for name in names])
    while True:
        group = groups[names[rng.choice(len(names), p=weights / weights.sum())]]
        index, encoded = group[rng.integers(len(group))]
        image, ids = encoded.decode()
        picked = pick_object(ids, rng)
        if picked is not None:
            truth, neighbour = picked
            yield Subject(image, truth, ids == IGNORE, f"{encoded.name}/{index}", neighbour)


def read_subjects(folder: Path) -> Iterator[Subject]:
    """Read the objects of an evaluation set (items.json with `object_id`, images/, masks/), in order."""
    for entry in json.loads((folder / "items.json").read_text()):
        pixels, ids = read_image(folder / entry["image"]), read_ids(folder / entry["mask"])
        place = entry.get("sequence") or entry["image"]  # frames of one film are one thing to learn about
        yield Subject(pixels, ids == entry["object_id"], ids == IGNORE, f"{folder.name}/{place}")


@dataclass(frozen=True)
class Record:
    """One simulated annotation.

    Attributes:
        kind: name of the kind of annotator.
        subject: image it was made on; bootstraps and splits group by it.
        annotation: see there.
    """

    kind: str
    subject: str
    annotation: Annotation

    @property
    def trace(self) -> Trace:
        """Return what the predictor may see."""
        return Trace(self.annotation.steps, self.annotation.edited, self.annotation.proposed)

    def to_json(self) -> str:
        """Write one line of the file."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(line: str) -> Record:
        """Read what `to_json` wrote."""
        record = json.loads(line)
        fields = record["annotation"]
        steps = [step_from(entry) for entry in fields.pop("steps")]
        return Record(record["kind"], record["subject"], Annotation(steps, **fields))


def step_from(entry: Mapping[str, Any]) -> Step:
    """Make a step from the dictionary that `dataclasses.asdict` made of it, in this version or an older one."""
    effect = {RENAMED.get(name, name): value for name, value in entry["effect"].items()}
    return Step(**{**entry, "effect": Effect(**effect)})


def simulate(
    subjects: Iterable[Subject],
    kinds: Mapping[str, Kind],
    predictor: Predictor,
    seed: int,
    proposed: bool = False,
) -> Iterator[Record]:
    """Annotate every subject once, by a kind drawn at random, those with a larger share more often.

    Not by the kinds in turn: over a set that is gone through again, an object would always meet the same kind.

    Args:
        proposed: begin with proposals. What is taken over without a click, or would be deleted, is left out.
    """
    rng = np.random.default_rng(seed)
    names = [name for name, kind in kinds.items() for _ in range(kind.share)]
    for subject in subjects:
        begun = with_proposal(subject, predictor, rng) if proposed else subject
        if begun is None:
            continue
        kind = names[rng.integers(len(names))]
        made = annotate(Annotator.draw(kinds[kind], rng), begun, predictor, rng)
        if made.steps:
            yield Record(kind, subject.name, made)


def read_records(path: Path) -> list[Record]:
    """Read a file of records."""
    return [Record.from_json(line) for line in path.read_text().splitlines()]
