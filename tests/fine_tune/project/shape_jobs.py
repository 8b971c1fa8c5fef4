"""Jobs on a project of shapes: how they are set up, run, watched and killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fine_tune.data import synthetic_scenes
from fine_tune.project.job import FineTuningJob
from fine_tune.project.judging.gate import Limits
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome
from fine_tune.project.phases import Report
from fine_tune.project.setup import Setup
from fine_tune.training.fine_tuner import Effort
from model.versions.registry import Registry
from tests.fine_tune.shape_project import Shapes

PROJECT, LINE, COUNT = 5, "project-5", 30


def setup(home: Path, steps: int = 2) -> Setup:
    return Setup(
        Registry(home),
        effort=Effort(minutes=10, steps=steps, batch=4, rate=2e-3, distillation_weight=0, accelerator="cpu"),
        limits=Limits(few=3, objects=6, clicks=4, retention_loss=10),
        device="cpu",
        retention_set=synthetic_scenes.samples(1),
        home=home,
    )


class Jobs:
    """Run jobs, with one ledger for all of them."""

    def __init__(self, client: Any) -> None:
        self.ledger = Ledger(client)

    def run(
        self,
        source: Shapes,
        parts: Setup,
        report: Report | None = None,
        force: bool = False,
        project: int = PROJECT,
    ) -> Outcome:
        return FineTuningJob(project, source, self.ledger, parts, report or quiet, force).run()


def quiet(phase: str, share: float, **facts: object) -> None:
    pass


class Killed(BaseException):
    """The process is gone: nobody handles it."""


def killed_in(phase: str, after: int = 1) -> Report:
    """A report that kills the job at its so many-th report of a phase."""
    seen = [0]

    def report(current: str, share: float, **facts: object) -> None:
        seen[0] += current == phase
        if seen[0] > after:
            raise Killed

    return report


class Log:
    """A report that keeps the phases, and the steps that were trained."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.steps: list[int] = []

    def __call__(self, phase: str, share: float, **facts: Any) -> None:
        if phase not in self.phases:
            self.phases.append(phase)
        if facts.get("step"):
            self.steps.append(facts["step"])
