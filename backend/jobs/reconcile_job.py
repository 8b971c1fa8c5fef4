"""Compares projects with Label Studio now and then, to find what webhooks missed.

A lost event may be the very one that would have begun a training. Label Studio lists annotations only with their
masks: they are asked for of those tasks alone that have changed since the last comparison.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import Any

from rq.job import Job

from backend.jobs import object_clicks
from backend.jobs.job_process import begin
from backend.jobs.policy import policy
from backend.jobs.project_removal import forget
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.task_states import TaskStates
from backend.redis_store import RECONCILIATION
from backend.settings import Settings
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import UNREADABLE, Scheduler

logger = logging.getLogger(__name__)

DONE = f"{RECONCILIATION}done"  # there for as long as no comparison is due
TASK = "backend.jobs.reconcile_job.run"  # by name: it is imported where it runs
TIMEOUT_S = 3600


def enqueue(client: Any, every_s: int) -> Job | None:
    """Queue a comparison if one is due; of several workers that ask, one queues it.

    Args:
        client: a `redis.Redis` client. Its errors pass through.
        every_s: the period; 0 for never.
    """
    if not every_s or not client.set(DONE, 1, nx=True, ex=every_s):
        return None
    options = {"job_timeout": TIMEOUT_S, "result_ttl": 0, "failure_ttl": 86400}
    return Scheduler(client).queue.enqueue(TASK, description="compare with Label Studio", **options)


def run() -> None:
    """Compare all projects; called by RQ."""
    settings, job = begin()
    compare_all(settings, job.connection)


def compare_all(settings: Settings, client: Any) -> None:
    """Compare all projects that clickmask knows, and queue jobs where enough is new.

    A project that cannot be read does not keep the others from being compared; one that is gone is forgotten.
    """
    scheduler, studio = Scheduler(client, policy(settings)), LabelStudio(settings)
    for project in Ledger(client).projects():
        try:
            _compare_and_count(project, scheduler, studio, client)
        except UNREADABLE as error:
            logger.warning(
                "project %d is not compared, what Redis holds of it cannot be read: %s", project, error
            )


def _compare_and_count(project: int, scheduler: Scheduler, studio: LabelStudio, client: Any) -> None:
    try:
        compare(project, studio, client)
    except LabelStudioError as error:
        if error.status == HTTPStatus.NOT_FOUND and _is_gone(project, studio):
            logger.info("project %d is no longer in Label Studio, and is forgotten", project)
            forget(client, project)
        else:
            logger.warning("project %d is not compared: %s", project, error)
        return  # a job could not read it either
    # Also where nothing has changed: a server may have died between an event's record and its job.
    if not scheduler.running(project):
        scheduler.count(project)


def compare(project: int, studio: LabelStudio, client: Any) -> tuple[int, int]:
    """Bring the ledger up to date with the tasks that have changed since the last comparison.

    Returns:
        How many annotations were new or newer, and how many turned out to be deleted.

    Raises:
        LabelStudioError: Label Studio cannot be asked.
    """
    state = studio.state(project)  # before asking for tasks: what comes meanwhile changes it again
    states = TaskStates(client, project)
    if states.project_state() == state:
        return 0, 0
    ledger = Ledger(client)
    # Before asking, too: a task that comes meanwhile, and its annotation's event, are not missing.
    noted = {record["task"] for record in ledger.annotations(project).values()}
    changed, there = states.changes(studio)
    gone = noted - there - {None}
    listing = partial(_annotations, studio, project, list(changed), client)
    newer, deleted = ledger.reconcile(project, listing, changed.keys() | gone)
    states.keep(changed, states.known().keys() - there)
    states.keep_project_state(state)
    if newer or deleted:
        logger.info(
            "project %d: webhooks missed %d new or changed and %d deleted annotations",
            project,
            newer,
            deleted,
        )
    return newer, deleted


def _annotations(
    studio: LabelStudio, project: int, tasks: list[int], client: Any
) -> Iterator[dict[str, Any]]:
    """Yield the annotations of some tasks without their masks, which are held of a few tasks at once."""
    for task in studio.annotated_among(project, tasks):
        annotations = [object_clicks.without_result(annotation) for annotation in task["annotations"]]
        object_clicks.note(client, project, annotations)
        for annotation in annotations:
            yield {**annotation, "task": task["id"]}


def _is_gone(project: int, studio: LabelStudio) -> bool:
    """Tell whether Label Studio lists projects, and not this one: anything may answer 404, a wrong address too."""
    try:
        return all(record["id"] != project for record in studio.projects())
    except LabelStudioError:
        return False
