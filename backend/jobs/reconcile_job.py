"""Compares projects with Label Studio now and then, to find what webhooks missed.

A lost event may be the very one that would have begun a training. A project is only asked for its annotations if
something in it has changed since the last comparison.
"""

from __future__ import annotations

import logging
from typing import Any

from rq import Queue, get_current_job
from rq.job import Job
from rq.serializers import JSONSerializer

from backend.jobs.annotations import ProjectSource
from backend.jobs.configure import policy
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.logs import configure
from backend.redis_store import RECONCILIATION
from backend.settings import Settings
from fine_tune.data.project_samples import SourceError
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import QUEUE, Scheduler

logger = logging.getLogger(__name__)

DONE = f"{RECONCILIATION}done"  # there for as long as no comparison is due
STATES = f"{RECONCILIATION}states"  # hash: project -> `LabelStudio.state` that it was last compared at
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
    queue = Queue(QUEUE, connection=client, serializer=JSONSerializer)
    return queue.enqueue(
        TASK,
        job_timeout=TIMEOUT_S,
        result_ttl=0,
        failure_ttl=86400,
        description="compare with Label Studio",
    )


def run() -> None:
    """Compare all projects; called by RQ."""
    settings, job = Settings.from_env(), get_current_job()
    configure(settings.log_level, settings.secrets())
    assert job is not None, "called by RQ"
    compare_all(settings, job.connection)


def compare_all(settings: Settings, client: Any) -> None:
    """Compare all projects that clickmask knows, and queue jobs where enough is new.

    A project that cannot be read does not keep the others from being compared.
    """
    scheduler, studio = Scheduler(client, policy(settings)), LabelStudio(settings)
    for project in Ledger(client).projects():
        try:
            compare(project, settings, studio, client)
        except (LabelStudioError, SourceError) as error:
            logger.warning("project %d is not compared: %s", project, error)
            continue  # a job could not read it either
        # Also where nothing has changed: a server may have died between an event's record and its job.
        if not scheduler.running(project):
            scheduler.count(project)


def compare(project: int, settings: Settings, studio: LabelStudio, client: Any) -> None:
    """Bring the ledger up to date if the project has changed.

    Raises:
        LabelStudioError, SourceError: Label Studio cannot be asked.
    """
    state = studio.state(project)  # before asking for annotations: what comes meanwhile changes it again
    known = client.hget(STATES, str(project))
    if known is not None and known.decode() == state:
        return
    newer, gone = Ledger(client).reconcile(project, ProjectSource(project, settings).annotations)
    client.hset(STATES, str(project), state)
    if newer or gone:
        logger.info(
            "project %d: webhooks missed %d new or changed and %d deleted annotations", project, newer, gone
        )
