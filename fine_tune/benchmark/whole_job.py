"""One whole job on images of a set: its phases in minutes, the work that was done, and the verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fine_tune.data.project_samples import Samples
from fine_tune.project.attempt import Attempt, Refused
from fine_tune.project.job_state import JobState
from fine_tune.project.outcome import Outcome
from fine_tune.project.phases import PHASES, Timeline
from fine_tune.project.setup import Setup
from fine_tune.training.fine_tuner import Effort
from model.versions.registry import Registry

LINE = "project-1"
COLUMNS = (
    "set",
    "images",
    "training",
    "choosing",
    "judging",
    "proposing",
    "writing",
    "minutes",
    "steps",
    "clicks",
    "verdict",
)


@dataclass(frozen=True)
class JobRun:
    """What one job did.

    Attributes:
        minutes: of every phase, by name.
        outcome: see there.
        version: folder of the version that was made; None where none was.
        proposing: folder of the version whose proposals are offered; None where they are not.
    """

    minutes: dict[str, float]
    outcome: Outcome
    version: Path | None
    proposing: Path | None

    def row(self, name: str, images: int) -> dict[str, Any]:
        """Return the values by column."""
        spent = [self.minutes.get(phase, 0.0) for phase in PHASES[2:]]
        metrics = self.outcome.metrics
        verdict = f"{self.outcome.status}: {self.outcome.reason}"
        done = metrics.get("training", {}).get("steps", 0), metrics.get("clicks", 0)
        return dict(zip(COLUMNS, [name, images, *spent, sum(spent), *done, verdict], strict=True))


@contextmanager
def run_job(checkpoint: Path, samples: Samples, effort: Effort, device: str) -> Iterator[JobRun]:
    """Run a job with a registry of its own, which is gone at the end of the context."""
    with tempfile.TemporaryDirectory(prefix="clickmask-") as folder:
        home = Path(folder)
        registry = Registry(home)
        registry.promote(registry.adopt("base", checkpoint))
        timeline = Timeline(lambda phase, share, **facts: None)
        setup = Setup(registry, effort=effort, device=device, home=home)
        attempt = Attempt(LINE, samples, setup, timeline, JobState(None))
        try:
            outcome = attempt.run()
        except Refused as refusal:
            outcome = attempt.outcome("refused", str(refusal))
        minutes = {phase: seconds / 60 for phase, seconds in timeline.seconds().items()}
        version = registry.find(outcome.version).path if outcome.version else None
        head = outcome.metrics.get("proposals", {"offered": False})
        proposing = registry.find(head["version"]).path if head["offered"] else None
        yield JobRun(minutes, outcome, version, proposing)
