"""Fills a Redis with what months of work leave in it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from rq.job import Job, JobStatus

from backend.jobs.policy import TASK
from backend.operations.bench.click_requests import PROJECT
from backend.redis_store import MAPS
from fine_tune.project import keys
from fine_tune.project.acceptance import facts
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Policy, Scheduler

CHUNK = 5_000  # commands sent at once
LIFE_S = 86_400


@dataclass(frozen=True)
class Filling:
    """Says how full things are.

    Attributes:
        redis_keys: keys in Redis, most of them cached maps.
        jobs: finished and failed fine-tuning jobs that Redis still knows.
        ledger: records of annotations, all of the project that is clicked in.
        saved_masks: accepted masks of the task, which Label Studio sends along with every click.
    """

    redis_keys: int = 0
    jobs: int = 0
    ledger: int = 0
    saved_masks: int = 0

    @property
    def of_redis(self) -> bool:
        """Tell whether there is anything to fill Redis with."""
        return bool(self.redis_keys or self.jobs or self.ledger)


def fill(client: Any, filling: Filling) -> None:
    """Fill a Redis that is the benchmark's own.

    Args:
        client: a `redis.Redis` client. Its errors pass through.
    """
    _ledger(client, filling.ledger)
    _jobs(client, filling.jobs)
    missing = filling.redis_keys - client.dbsize()
    value = bytes(1000)
    for start in range(0, max(missing, 0), CHUNK):
        with client.pipeline(transaction=False) as pipe:
            for number in range(start, min(start + CHUNK, missing)):
                pipe.set(f"{MAPS}bench:{number:032x}", value, ex=LIFE_S)
            pipe.execute()


def _ledger(client: Any, count: int) -> None:
    ledger = Ledger(client)
    ledger.meet(PROJECT)
    for start in range(0, count, CHUNK):
        records = {}
        for number in range(start + 1, min(start + CHUNK, count) + 1):
            annotation = {
                "id": number,
                "task": number,
                "updated_at": "2026-01-01T00:00:00Z",
                "result_count": 1,
            }
            records[str(number)] = json.dumps(facts(annotation))
        client.hset(keys.records(PROJECT), mapping=records)


def _jobs(client: Any, count: int) -> None:
    queue = Scheduler(client, Policy(task=TASK)).queue
    for number in range(count):
        job: Job = queue.create_job(
            TASK,
            args=(PROJECT,),
            job_id=f"fine-tune-{PROJECT}-{uuid.uuid4().hex[:8]}",
            meta={"project": PROJECT, "why": "bench", "phase": "writing the version", "share": 1.0},
        )
        failed = number % 10 == 9
        job.set_status(JobStatus.FAILED if failed else JobStatus.FINISHED)
        job.save()
        registry = queue.failed_job_registry if failed else queue.finished_job_registry
        registry.add(job, ttl=LIFE_S)
