"""What a job waits for, or what became of it, in words."""

from __future__ import annotations

from click.testing import CliRunner
from rq import Queue
from rq.serializers import JSONSerializer

from backend.cli import main
from backend.jobs.policy import policy
from backend.jobs.status import NO_WORKER, row
from backend.settings import Settings
from fine_tune.project.scheduler import QUEUE, Scheduler
from tests.backend.redis_server import RedisServer


def test_a_job_that_waits_says_for_what(redis_server: RedisServer):
    scheduler = Scheduler(redis_server.client(), policy(Settings()))
    assert row(scheduler.request(3, "test"))["result"] == NO_WORKER
    job = scheduler.request(4, "test", delay_s=600)
    assert row(job)["result"].startswith("begins at 20")
    job.meta["problem"] = "Label Studio cannot be reached"
    assert row(job)["result"].startswith("is tried again at 20")
    assert row(job)["result"].endswith(": Label Studio cannot be reached")


def test_a_job_that_failed_says_why_without_a_traceback(redis_server: RedisServer, monkeypatch):
    monkeypatch.setenv("CLICKMASK_REDIS_URL", redis_server.url)
    queue = Queue(QUEUE, connection=redis_server.client(), serializer=JSONSerializer)
    meta = {"project": 3, "phase": "waiting"}
    plain = queue.enqueue("os.listdir", "/there/is/no/such/folder", meta=meta)
    told = queue.enqueue(
        "os.listdir", "/there/is/no/such/folder", meta={**meta, "problem": "the disk is full"}
    )
    assert CliRunner().invoke(main, ["worker", "--burst"], catch_exceptions=False).exit_code == 0
    assert row(told)["result"] == "the disk is full"
    assert "No such file" in row(plain)["result"]
    assert "\n" not in row(plain)["result"]
