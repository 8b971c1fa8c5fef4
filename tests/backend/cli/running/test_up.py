"""`clickmask up` as an operator runs it: a process, its children, and what is left of them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import redis
import requests
from rq import Worker

from backend.operations.supervisor import free_port
from tests.live_processes import alive
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[4]


def command(home: Path, name: str, **environment: str) -> subprocess.Popen[str]:
    known = {"CLICKMASK_HOME": str(home), "CLICKMASK_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "backend.cli", name],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **known, **environment},
        cwd=home,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def until_line(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(pattern, line):
            return line
    assert process.stderr is not None
    raise AssertionError(f"no line with {pattern!r}: {process.stderr.read()[-2000:]}")


def test_everything_runs_until_it_is_told_to_stop_and_nothing_is_left(home):
    port = free_port()
    process = command(home, "up", CLICKMASK_PORT=str(port))
    try:
        line = until_line(process, "answers at")
        assert f"http://127.0.0.1:{port}" in line
        family = psutil.Process(process.pid).children(recursive=True)
        ready = f"http://127.0.0.1:{port}/ready"
        until("Redis", lambda: requests.get(ready, timeout=60).json()["redis"] == "up")
        client = redis.Redis.from_url(f"unix://{home / 'redis/redis.sock'}")
        until("the worker", lambda: Worker.count(connection=client) == 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        assert alive(family) == []
    finally:
        process.kill()


def test_a_child_that_dies_takes_the_rest_with_it(home):
    process = command(home, "up", CLICKMASK_PORT=str(free_port()))
    try:
        until_line(process, "answers at")
        family = psutil.Process(process.pid).children(recursive=True)
        worker = next(member for member in family if member.cmdline()[-1] == "worker")
        worker.kill()
        assert process.wait(PATIENCE_S) == 1
        assert process.stderr is not None
        assert "the worker ended with status -9" in process.stderr.read()
        assert alive(family) == []
    finally:
        process.kill()


def test_a_busy_port_is_named_with_the_variable_to_change(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = command(home, "up", CLICKMASK_PORT=str(port))
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert f"127.0.0.1:{port}" in said
    assert "CLICKMASK_PORT" in said
    assert "Traceback" not in said
