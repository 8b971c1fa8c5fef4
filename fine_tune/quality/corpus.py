"""Simulated annotations in a file: one JSON line each, with the truth, so that training is quick to repeat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fine_tune.quality.annotators import Annotator, Kind
from fine_tune.quality.network import Trace
from fine_tune.quality.simulated_annotation import Annotation, Subject, annotate
from fine_tune.quality.steps import Effect, Step
from model.inference.predictor import Predictor

BAD = 0.85  # an IoU below this is a mask to review


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
        """What the predictor may see."""
        return Trace(self.annotation.steps, self.annotation.edited)

    def to_json(self) -> str:
        """One line of the file."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(line: str) -> Record:
        """The inverse of `to_json`."""
        record = json.loads(line)
        fields = record["annotation"]
        steps = [step_from(entry) for entry in fields.pop("steps")]
        return Record(record["kind"], record["subject"], Annotation(steps, **fields))


def step_from(entry: Mapping[str, object]) -> Step:
    """A step from the dictionary that `dataclasses.asdict` made of it."""
    return Step(**{**entry, "effect": Effect(**entry["effect"])})  # type: ignore[arg-type]


def simulate(
    subjects: Iterable[Subject], kinds: Mapping[str, Kind], predictor: Predictor, seed: int
) -> Iterator[Record]:
    """Annotate every subject once, by a kind drawn at random, those with a larger share more often.

    Not by the kinds in turn: over a set that is gone through again, an object would always meet the same kind.
    """
    rng = np.random.default_rng(seed)
    names = [name for name, kind in kinds.items() for _ in range(kind.share)]
    for subject in subjects:
        kind = names[rng.integers(len(names))]
        yield Record(kind, subject.name, annotate(Annotator.draw(kinds[kind], rng), subject, predictor, rng))


def read(path: Path) -> list[Record]:
    """Read a file of records."""
    return [Record.from_json(line) for line in path.read_text().splitlines()]
