"""A project's turn is held by one, given back, and lost by the dead."""

import subprocess
import sys
import time

import pytest

from fine_tune.project.lock import ProjectLocked, project_lock
from tests.backend.redis_server import RedisServer


def test_one_at_a_time(redis_server: RedisServer):
    with project_lock(redis_server.client(), 3):
        with pytest.raises(ProjectLocked), project_lock(redis_server.client(), 3):
            pass
        with project_lock(redis_server.client(), 4):
            pass
    with project_lock(redis_server.client(), 3):
        pass


def test_it_outlives_its_time_while_it_is_held(redis_server: RedisServer):
    with project_lock(redis_server.client(), 3, life_s=0.6):
        time.sleep(1.5)
        with pytest.raises(ProjectLocked), project_lock(redis_server.client(), 3):
            pass


def test_a_killed_holder_gives_way(redis_server: RedisServer):
    code = (
        "import redis, sys, time; from fine_tune.project.lock import project_lock\n"
        f"with project_lock(redis.Redis.from_url({redis_server.url!r}), 3, life_s=1.0):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(ProjectLocked), project_lock(redis_server.client(), 3):
            pass
    finally:
        holder.kill()
        holder.wait()
    time.sleep(1.2)
    with project_lock(redis_server.client(), 3):
        pass


def test_it_is_taken_again_after_redis_was_away(redis_server: RedisServer):
    with project_lock(redis_server.client(), 3, life_s=0.9):
        redis_server.stop()
        redis_server.start()  # without what it held
        time.sleep(1.0)
        with pytest.raises(ProjectLocked), project_lock(redis_server.client(), 3):
            pass
