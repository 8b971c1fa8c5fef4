"""What an evaluation found: per object the IoU after every click, over a set the figures of the field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.click import Click

TARGETS = (0.80, 0.85, 0.90, 0.95)
SHOWN_CLICKS = (1, 2, 3, 5, 10, 20)  # of the IoU@k curve, where people look
SPOILED = 0.05  # loss of IoU by one click that an annotator resents


@dataclass(frozen=True)
class Record:
    """One annotated object.

    Attributes:
        sample: id of the sample.
        ious: IoU after click 1, 2, ... of the evaluation's maximum; where clicking ended before (a perfect mask, or
            `Rules.stop_at`), the last one stays.
        clicks: the clicks made; fewer than `ious` only where clicking ended before.
        seconds: time of all clicks, clicker and scoring included, its share where objects ran together.
    """

    sample: str
    ious: tuple[float, ...]
    clicks: tuple[Click, ...]
    seconds: float

    def noc(self, target: float) -> int:
        """Count the clicks until IoU >= target for the first time; the maximum where that never happens."""
        reached = (count for count, iou in enumerate(self.ious, 1) if iou >= target)
        return next(reached, len(self.ious))

    def worst_loss(self) -> float:
        """Find the largest fall of the IoU from one click to the next, 0 where it never fell."""
        return max([0.0, *(a - b for a, b in zip(self.ious, self.ious[1:], strict=False))])

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` reads them back exactly."""
        clicks = [[c.x, c.y, c.positive] for c in self.clicks]
        return {"sample": self.sample, "ious": self.ious, "clicks": clicks, "seconds": self.seconds}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Record:
        """Read what `as_json` gave.

        Raises:
            KeyError, TypeError: `values` is no record.
        """
        clicks = tuple(Click(*c) for c in values["clicks"])
        return cls(values["sample"], tuple(values["ious"]), clicks, values["seconds"])


@dataclass(frozen=True)
class Report:
    """The figures of one model on one set; every mean is over objects.

    Raises:
        ValueError: without any record, or with records of different length.
    """

    records: Sequence[Record]

    def __post_init__(self) -> None:
        if len({len(record.ious) for record in self.records}) != 1:
            raise ValueError("a report needs records, all with the same maximum of clicks")

    @property
    def max_clicks(self) -> int:
        """Clicks an object could get."""
        return len(self.records[0].ious)

    def noc(self, target: float) -> float:
        """Average the clicks to IoU >= target; an object that never gets there counts the maximum."""
        return float(np.mean([record.noc(target) for record in self.records]))

    def at_limit(self, target: float) -> int:
        """Count objects with NoC = maximum (">=20@90"), as the field counts: a success at the last click included."""
        return sum(record.noc(target) == self.max_clicks for record in self.records)

    def curve(self) -> np.ndarray:
        """Average the IoU after click 1..maximum: as many float64."""
        return np.array([record.ious for record in self.records]).mean(0)

    def iou_at(self, clicks: int) -> float:
        """Average the IoU after so many clicks; of an object that stopped earlier the last one, of none the best."""
        return float(self.curve()[clicks - 1])

    def best_within(self, clicks: int) -> float:
        """Average the best IoU of the objects' first `clicks` clicks."""
        return float(np.mean([max(record.ious[:clicks]) for record in self.records]))

    def spoiled(self) -> int:
        """Count the objects that lost more than 0.05 of IoU by some click."""
        return sum(record.worst_loss() > SPOILED for record in self.records)

    def seconds_per_click(self) -> float:
        """Divide total time by total clicks, clicker included, as RITM states it."""
        return sum(r.seconds for r in self.records) / sum(len(r.clicks) for r in self.records)

    def worst(self, count: int, clicks: int = 5) -> list[Record]:
        """List the `count` records with the lowest IoU after `clicks` clicks, the worst first."""
        place = min(clicks, self.max_clicks) - 1
        return sorted(self.records, key=lambda record: (record.ious[place], record.sample))[:count]

    def as_json(self) -> dict[str, Any]:
        """Return all figures and records as plain values."""
        shown = [k for k in SHOWN_CLICKS if k <= self.max_clicks]
        return {
            "objects": len(self.records),
            "max_clicks": self.max_clicks,
            "noc": {f"{t:.2f}": self.noc(t) for t in TARGETS},
            "at_limit": {f"{t:.2f}": self.at_limit(t) for t in TARGETS},
            "iou_at": {str(k): self.iou_at(k) for k in shown},
            "best_within": {str(k): self.best_within(k) for k in shown},
            "curve": self.curve().tolist(),
            "spoiled": self.spoiled(),
            "seconds_per_click": self.seconds_per_click(),
            "records": [record.as_json() for record in self.records],
        }
