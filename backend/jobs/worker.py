"""Runs jobs, each in a fresh process, and queues comparisons with Label Studio between two jobs."""

from __future__ import annotations

import logging
from typing import Any

import redis
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import SpawnWorker

from backend.jobs import reconcile_job
from backend.settings import Settings
from fine_tune.project.scheduler import QUEUE

logger = logging.getLogger(__name__)


class Worker(SpawnWorker):
    """Runs jobs in spawned processes, since CUDA does not survive a fork.

    Attributes:
        sync_s: how often projects are compared with Label Studio; 0 for never.
    """

    sync_s = 0

    @classmethod
    def of(cls, settings: Settings, connection: Any) -> Worker:
        """Make a worker as the settings say.

        An idle one looks every half a minute for what is due, and whether jobs that wait for their time have lost
        their scheduler with a killed worker; RQ's defaults would let them wait for ten minutes.
        """
        worker = cls(
            [QUEUE], connection=connection, serializer=JSONSerializer, worker_ttl=45, maintenance_interval=20
        )
        worker.sync_s = settings.sync_s
        return worker

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Report to Redis twice a minute while a job runs; the job goes on where Redis does not answer just then."""
        try:
            super().maintain_heartbeats(job, execution)
        except redis.RedisError as error:
            logger.warning("Redis does not answer while job %s runs: %s", job.id, error)

    def run_maintenance_tasks(self) -> None:
        """Do what is due before and between jobs."""
        super().run_maintenance_tasks()
        reconcile_job.enqueue(self.connection, self.sync_s)
