"""Simulated annotators: people who click with different care, skill and pace.

A predictor of quality that is trained on one way of clicking learns that way. So kinds of annotators are
described by habits, habits are drawn anew for every annotation, pace is drawn apart from care, and the kinds of
`UNSEEN` are never trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class Kind:
    """Habits of a kind of annotators; a range is drawn from for every annotation.

    Attributes:
        tolerance: an error smaller than this share of the object's area is left alone, or not seen.
        patience: clicks after which they give up.
        bored: chance of stopping after any click, whatever the mask looks like.
        jitter: how far a click lands from where it was meant, in sqrt(object area).
        slip: chance of the wrong polarity.
        stray: chance of a click at a random place around the object.
        blind: chance of never seeing what is wrongly included (no negative clicks).
        misled: chance of annotating the object with its neighbour, or the neighbour.
        edges: 0 clicks in the middle of an error .. 1 clicks at its edge.
        extra: clicks placed after there is nothing left to see.
        undo: chance of taking back a click that made the mask worse.
        burst: first clicks placed in quick succession, without looking at the answers.
        seconds: median pause between clicks.
        repair: chance of painting over the largest error left, by hand, after the clicks.
        share: how many of them there are in a crowd, beside the other kinds.
    """

    tolerance: Range = (0.01, 0.05)
    patience: Range = (6, 14)
    bored: Range = (0.0, 0.0)
    jitter: Range = (0.0, 0.05)
    slip: float = 0.0
    stray: float = 0.0
    blind: float = 0.0
    misled: float = 0.03
    edges: Range = (0.1, 0.5)
    extra: Range = (0, 1)
    undo: float = 0.3
    burst: Range = (1, 1)
    seconds: Range = (0.3, 10.0)
    repair: float = 0.08
    share: int = 1


SEEN: dict[str, Kind] = {
    "careful": Kind(tolerance=(0.005, 0.02), patience=(10, 18), undo=0.6, share=2),
    "average": Kind(tolerance=(0.02, 0.08), patience=(4, 10), bored=(0.0, 0.1)),
    "hasty": Kind(tolerance=(0.05, 0.4), patience=(1, 4), bored=(0.1, 0.5), undo=0.05),
    "shaky": Kind(tolerance=(0.02, 0.1), jitter=(0.1, 0.5), patience=(3, 12)),
    "mistaken": Kind(slip=0.2, stray=0.15, patience=(3, 12), undo=0.15),
    "blind": Kind(blind=0.8, tolerance=(0.03, 0.3), patience=(3, 10)),
    "misled": Kind(misled=0.7, tolerance=(0.02, 0.1)),
    "busy": Kind(tolerance=(0.005, 0.05), extra=(2, 6), patience=(10, 20), jitter=(0.0, 0.15)),
    # Any mixture of habits, so that no few of them stand for a person.
    "anyone": Kind(
        tolerance=(0.003, 0.5),
        patience=(1, 18),
        bored=(0.0, 0.3),
        jitter=(0.0, 0.3),
        slip=0.05,
        stray=0.08,
        blind=0.1,
        edges=(0.0, 0.7),
        extra=(0, 4),
        undo=0.4,
        share=4,
    ),
}
UNSEEN: dict[str, Kind] = {
    # Clicks along outlines, as people do who learned with polygons.
    "outliner": Kind(
        edges=(0.85, 1.0), jitter=(0.02, 0.08), tolerance=(0.01, 0.15), patience=(3, 14), share=2
    ),
    # Several clicks at once, then perhaps a look.
    "burst": Kind(burst=(2, 5), tolerance=(0.03, 0.4), patience=(3, 8), seconds=(0.3, 1.2)),
    # Slow, well-meaning, poor sight: long pauses do not mean care here.
    "slow": Kind(tolerance=(0.08, 0.5), seconds=(5.0, 15.0), patience=(2, 8), jitter=(0.0, 0.2)),
    # Expert: fast pauses do not mean haste here.
    "expert": Kind(tolerance=(0.003, 0.02), seconds=(0.25, 0.8), patience=(8, 20), undo=0.9, share=5),
    # Gives up at random and takes back much.
    "fickle": Kind(bored=(0.15, 0.5), undo=0.9, stray=0.25, tolerance=(0.01, 0.2), patience=(3, 15)),
}


@dataclass(frozen=True)
class Annotator:
    """One annotator at one annotation: the habits of `Kind`, drawn."""

    kind: Kind
    tolerance: float
    patience: int
    bored: float
    jitter: float
    edges: float
    extra: int
    burst: int
    seconds: float
    blind: bool
    misled: bool

    @staticmethod
    def draw(kind: Kind, rng: np.random.Generator) -> Annotator:
        """Draw the habits for one annotation; shares and seconds on a logarithmic scale."""

        def logarithmic(limits: Range) -> float:
            return float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]))))

        def whole(limits: Range) -> int:
            return int(rng.integers(int(limits[0]), int(limits[1]) + 1))

        return Annotator(
            kind=kind,
            tolerance=logarithmic(kind.tolerance),
            patience=whole(kind.patience),
            bored=float(rng.uniform(*kind.bored)),
            jitter=float(rng.uniform(*kind.jitter)),
            edges=float(rng.uniform(*kind.edges)),
            extra=whole(kind.extra),
            burst=whole(kind.burst),
            seconds=logarithmic(kind.seconds),
            blind=bool(rng.random() < kind.blind),
            misled=bool(rng.random() < kind.misled),
        )

    def pause(self, hurried: bool, rng: np.random.Generator) -> float:
        """Draw the seconds until the next click."""
        return float(self.seconds * (0.3 if hurried else 1.0) * np.exp(rng.normal(0, 0.5)))
