"""The process of a job: how it tells of its progress, and gives way."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from rq.job import Job

from backend.jobs.job_process import NICE, Reporter
from backend.jobs.policy import policy
from backend.settings import Settings
from fine_tune.project.job import Cancelled
from fine_tune.project.scheduler import Scheduler
from tests.backend.redis_server import RedisServer


@pytest.fixture
def job(redis_server: RedisServer) -> Job:
    return Scheduler(redis_server.client(), policy(Settings())).request(3, "test")


def told(job: Job) -> tuple[str, float, int | None]:
    """What others read of it."""
    meta = job.get_meta(refresh=True)
    return meta["phase"], meta["share"], meta.get("step")


def test_progress_is_put_into_the_job_not_too_often(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.jobs.job_process.REPORT_S", 600.0)
    report = Reporter(job, lambda _: False)
    report("training", 0.25, step=3)
    assert told(job) == ("training", 0.25, 3)
    report("training", 0.5, step=6)
    assert told(job) == ("training", 0.25, 3), "too soon"
    report("judging", 0.0)
    assert told(job) == ("judging", 0.0, None), "another phase is told at once"


def test_a_job_that_somebody_cancelled_ends(job: Job) -> None:
    with pytest.raises(Cancelled):
        Reporter(job, lambda number: number == job.id)("training", 0.5)
    assert told(job)[0] == "training"


def test_a_redis_that_is_away_ends_no_job(
    job: Job, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.stop()
    Reporter(job, lambda _: False)("training", 0.5)
    assert "progress is not shown" in caplog.text


def test_clicks_go_first() -> None:
    code = (
        "import os; from backend.jobs.job_process import let_clicks_go_first; let_clicks_go_first(); "
        "print(os.nice(0), os.sched_getscheduler(0) == os.SCHED_BATCH)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(min(os.nice(0) + NICE, 19)), "True"]
