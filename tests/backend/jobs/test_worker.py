"""The worker, where Redis is not there for a while; whole jobs are in test_worker_job.py."""

from __future__ import annotations

import pytest
from rq.executions import Execution

from backend.jobs.configure import policy
from backend.jobs.worker import Worker
from backend.settings import Settings
from fine_tune.project.scheduler import Scheduler
from tests.backend.redis_server import RedisServer


def test_a_redis_that_is_gone_during_a_job_does_not_end_the_worker(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
):
    client = redis_server.client()
    job, worker = Scheduler(client, policy(Settings())).request(3, "test"), Worker.of(Settings(), client)
    worker.register_birth()
    execution = Execution(id="one", job_id=job.id, connection=client)
    worker.maintain_heartbeats(job, execution)
    assert not caplog.text
    redis_server.stop()
    worker.maintain_heartbeats(job, execution)
    assert f"Redis does not answer while job {job.id} runs" in caplog.text
