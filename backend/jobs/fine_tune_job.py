"""Runs one fine-tuning job of a project, in a fresh process that an RQ worker starts."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rq import Retry

from backend.jobs.annotations import ProjectSource
from backend.jobs.job_process import Reporter, begin, let_clicks_go_first, telling_why
from backend.jobs.policy import policy
from backend.settings import Settings, SettingsError
from fine_tune.data import bundle, synthetic_scenes
from fine_tune.data.object_sampler import ObjectSampler
from fine_tune.project.job import Cancelled, FineTuningJob
from fine_tune.project.ledger import Ledger
from fine_tune.project.lock import ProjectLocked, project_lock
from fine_tune.project.outcome import Outcome, remember
from fine_tune.project.phases import Report
from fine_tune.project.scheduler import Scheduler
from fine_tune.project.setup import Setup
from fine_tune.training.fine_tuner import Effort
from model.evaluation.datasets import read_folder, state_of
from model.scene import Sample
from model.versions.registry import Registry

logger = logging.getLogger(__name__)

LOCKED = Retry(max=100_000, interval=30)  # a try costs seconds of CPU, which the other job needs


def run(project: int, force: bool = False) -> dict[str, Any] | Retry:
    """Fine-tune a project; called by RQ, which keeps what is returned (`Outcome.as_json`).

    Where another worker holds the project's lock, RQ is told to call again.
    """
    let_clicks_go_first()
    settings, job = begin()
    scheduler = Scheduler(job.connection, policy(settings))
    try:
        with telling_why(job):
            outcome = learn(project, settings, job.connection, Reporter(job, scheduler.cancelled), force)
    except ProjectLocked:
        return LOCKED
    logger.info("project %d: %s: %s", project, outcome.status, outcome.reason)
    return outcome.as_json()


def learn(project: int, settings: Settings, client: Any, report: Report, force: bool = False) -> Outcome:
    """Fine-tune a project under its lock, in a worker or in the foreground.

    However it ends, the pause before the next automatic job begins then; annotations that came meanwhile may queue
    that job.

    Raises:
        ProjectLocked: another process does that now.
        Exception: what `FineTuningJob.run` raises, except `Cancelled`.
    """
    scheduler, started = Scheduler(client, policy(settings)), time.time()
    with project_lock(client, project) as lock:

        def watched(phase: str, share: float, **facts: Any) -> None:
            lock.check()
            report(phase, share, **facts)

        failed = True
        try:
            source = ProjectSource(project, settings)
            job = FineTuningJob(project, source, Ledger(client), setup(settings), watched, force)
            outcome = job.run()
            failed = False
        except Cancelled:
            outcome, failed = Outcome("cancelled", "somebody cancelled it"), False
        except ProjectLocked:  # the other process goes on with it
            failed = False
            raise
        finally:
            scheduler.mark_end(project, failed)
        # One that a killed job had come to before is older.
        outcome = dataclasses.replace(outcome, seconds=max(outcome.at - started, 0.0))
        remember(client, project, outcome)
    scheduler.count(project)
    return outcome


def setup(settings: Settings) -> Setup:
    """Make the parts of a job, as the settings say.

    Raises:
        SettingsError: the replay bundle cannot be read, or there are fewer GPUs than are to train.
        DatasetError: the folder of CLICKMASK_GENERAL_SET cannot be read.
    """
    replay = None
    if settings.replay is not None:
        try:
            replay = ObjectSampler(bundle.read(settings.replay)).plain
        except (ValueError, OSError) as error:
            raise SettingsError(f"CLICKMASK_REPLAY cannot be used: {error}") from error
    return Setup(
        registry=Registry(settings.home, settings.registry),
        accept=settings.accept,
        effort=_effort(settings),
        keep=settings.keep_versions,
        device=settings.device,
        threads=settings.threads,
        precision=settings.precision,
        replay=replay,
        home=settings.home,
        retention_set=_retention_set(settings.general_set),
    )


def _retention_set(folder: Path | None) -> list[Sample]:
    return (
        synthetic_scenes.samples() if folder is None else _marked(folder, read_folder(folder, max_objects=40))
    )


def _marked(folder: Path, samples: Sequence[Sample]) -> list[Sample]:
    """Name objects by the state of their folder, too: what was clicked before its files changed says nothing."""
    mark = state_of(folder)
    return [dataclasses.replace(sample, id=f"{sample.id}@{mark}") for sample in samples]


def _effort(settings: Settings) -> Effort:
    on_cpu, gpus = settings.device in ("cpu", "openvino"), torch.cuda.device_count()
    if gpus and not on_cpu and settings.train_devices > gpus:
        raise SettingsError(
            f"CLICKMASK_TRAIN_DEVICES is {settings.train_devices}, and this worker sees {gpus} GPUs: so many at most"
        )
    return Effort(
        settings.train_minutes,
        settings.train_steps or None,
        accelerator="cpu" if on_cpu else "auto",
        devices=settings.train_devices,
    )
