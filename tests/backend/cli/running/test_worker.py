"""`clickmask worker`: a job from a real Redis runs in a process of its own."""

from __future__ import annotations

import os

from click.testing import CliRunner
from rq import Queue
from rq.serializers import JSONSerializer

from backend.cli import main
from backend.cli.running.worker import KEEP_MEMORY
from fine_tune.project.scheduler import QUEUE
from tests import commands
from tests.backend.redis_server import RedisServer


def test_jobs_run_in_spawned_processes(redis_server: RedisServer, monkeypatch):
    for name in KEEP_MEMORY:
        monkeypatch.delenv(name, raising=False)
    queue = Queue(QUEUE, connection=redis_server.client(), serializer=JSONSerializer)
    kept = [queue.enqueue("os.getenv", name) for name in KEEP_MEMORY]
    job, bad = queue.enqueue("os.getpid"), queue.enqueue("os.listdir", "/there/is/no/such/folder")
    # In a process of its own: a worker keeps the signals of its process.
    commands.run({"CLICKMASK_REDIS_URL": redis_server.url}, "worker", "--burst").check_returncode()
    assert job.return_value() not in (None, os.getpid())
    assert bad.is_failed
    assert [one.return_value() for one in kept] == list(KEEP_MEMORY.values())


def test_without_redis_it_says_what_to_start_or_set(monkeypatch, tmp_path):
    monkeypatch.delenv("CLICKMASK_REDIS_URL", raising=False)
    monkeypatch.setenv("CLICKMASK_HOME", str(tmp_path))
    answer = CliRunner().invoke(main, ["worker"])
    assert answer.exit_code == 1
    assert "start `clickmask up`, or set CLICKMASK_REDIS_URL" in answer.output
    monkeypatch.setenv("CLICKMASK_REDIS_URL", f"unix://{tmp_path}/none.sock")
    answer = CliRunner().invoke(main, ["worker"])
    assert answer.exit_code == 1
    assert "does not answer" in answer.output
