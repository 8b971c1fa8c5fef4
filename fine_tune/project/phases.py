"""The phases of a job: where it stands in each, and when it will probably be over.

The estimate is there from the first second. It multiplies the work of every phase with the pace of the last job on
this machine, and from a twentieth of a phase on with the pace of that phase itself.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

COMPARE, FETCH, TRAIN, CHOOSE, JUDGE, PROPOSE, PUBLISH = PHASES = (
    "comparing with Label Studio",
    "fetching images",
    "training",
    "choosing how far to go",
    "judging on held-out images",
    "learning to propose",
    "writing the version",
)
UNITS = {
    COMPARE: "comparison",
    FETCH: "image",
    TRAIN: "step",
    CHOOSE: "click",
    JUDGE: "click",
    PROPOSE: "proposed image",
    PUBLISH: "version",
}
# Seconds a unit, measured on two AVX2 cores; those of a machine's last job take their place.
PACE = {"comparison": 2.0, "image": 0.1, "step": 0.8, "click": 0.08, "proposed image": 1.0, "version": 3.0}
TRUSTED = 0.05  # share of a phase from which on its own pace counts
Report = Callable[..., None]  # report(phase, share, **facts); what it raises ends the job


@dataclass
class Phase:
    """One phase; `work` is in its unit, `share` 0..1, `seconds` what it took so far."""

    name: str
    work: float
    share: float = 0.0
    seconds: float = 0.0
    over: bool = False

    def left(self, pace: Mapping[str, float]) -> float:
        """Estimate the seconds that are left."""
        if self.over:
            return 0.0
        if self.share >= TRUSTED:
            return self.seconds * (1 - self.share) / self.share
        return max(self.work * pace[UNITS[self.name]] - self.seconds, 0.0)


class Timeline:
    """All phases of a job, reported as they go on.

    Args:
        report: called with phase, share (0..1 of the phase) and facts: `eta_s` (seconds until the job is over),
            `phases` (name, share, seconds and seconds left of each), and what the phase tells. It raises to end the
            job.
        pace_file: the pace of the last job, replaced when `close` is called; None for the default one.
    """

    def __init__(self, report: Report, pace_file: Path | None = None) -> None:
        self._report, self._pace_file = report, pace_file
        self._pace = {**PACE, **_read(pace_file)}
        self._phases = {name: Phase(name, 1.0 if name in (COMPARE, PUBLISH) else 0.0) for name in PHASES}
        self._current: Phase | None = None
        self._began = 0.0
        self._facts: dict[str, Any] = {}

    def expect(self, name: str, work: float) -> None:
        """Say how much work a phase is going to be, in its unit."""
        self._phases[name].work = work

    def skip(self, name: str) -> None:
        """Say that a phase has nothing to do."""
        self._phases[name].over, self._phases[name].share = True, 1.0

    def begin(self, name: str) -> None:
        """End the phase that runs, and begin another one."""
        self._end()
        self._current, self._began, self._facts = self._phases[name], time.monotonic(), {}
        self._current.over = False
        self.at(0.0)

    def at(self, share: float, **facts: Any) -> None:
        """Report where the running phase stands."""
        assert self._current is not None, "a phase has begun"
        self._current.share, self._facts = min(share, 1.0), facts
        self.pulse()

    def pulse(self) -> None:
        """Report the same again, so that whoever wants to end the job can."""
        phase = self._current
        assert phase is not None, "a phase has begun"
        phase.seconds = time.monotonic() - self._began
        self._report(phase.name, phase.share, eta_s=round(self.left()), phases=self.as_json(), **self._facts)

    def left(self) -> float:
        """Estimate the seconds until the job is over."""
        return sum(phase.left(self._pace) for phase in self._phases.values())

    def seconds(self) -> dict[str, float]:
        """Return what every phase took."""
        return {phase.name: round(phase.seconds, 1) for phase in self._phases.values() if phase.seconds}

    def as_json(self) -> list[dict[str, Any]]:
        """Return name, share, seconds and seconds left of every phase."""
        return [
            {
                "name": phase.name,
                "share": round(phase.share, 3),
                "seconds": round(phase.seconds, 1),
                "left_s": round(phase.left(self._pace)),
            }
            for phase in self._phases.values()
        ]

    def close(self, done: Mapping[str, float]) -> None:
        """End the last phase, and remember the pace: `done` is the work of phases, in their units."""
        self._end()
        spent: dict[str, tuple[float, float]] = {}
        for name, work in done.items():
            seconds, units = spent.get(UNITS[name], (0.0, 0.0))
            spent[UNITS[name]] = seconds + self._phases[name].seconds, units + work
        pace = {unit: round(seconds / units, 4) for unit, (seconds, units) in spent.items() if units >= 5}
        if self._pace_file is None or not pace:
            return
        try:
            self._pace_file.parent.mkdir(parents=True, exist_ok=True)
            part = self._pace_file.with_suffix(".part")
            part.write_text(json.dumps({**self._pace, **pace}))
            os.replace(part, self._pace_file)
        except OSError as error:
            logger.warning("the pace of this job is not remembered: %s", error)

    def _end(self) -> None:
        if self._current is not None:
            self._current.seconds = time.monotonic() - self._began
            self._current.over, self._current.share = True, 1.0


def _read(file: Path | None) -> dict[str, float]:
    try:
        values = json.loads(file.read_text()) if file is not None else {}
        return {unit: float(values[unit]) for unit in PACE if unit in values}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
