"""A project's lock is held by one, given back, lost by the dead, and taken again after Redis was away."""

import subprocess
import sys
import time

import pytest

from fine_tune.project.lock import ProjectLocked, held, project_lock
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


def test_redis_may_go_away_and_come_back_many_times(redis_server: RedisServer):
    with project_lock(redis_server.client(), 3, life_s=0.6) as lock:
        for _ in range(3):
            redis_server.stop()
            time.sleep(0.5)  # the heartbeat fails meanwhile
            redis_server.start()  # without what it held
            time.sleep(0.5)
            lock.check()
            with pytest.raises(ProjectLocked), project_lock(redis_server.client(), 3):
                pass


def test_a_lock_that_another_one_took_meanwhile_is_noticed(redis_server: RedisServer):
    with project_lock(redis_server.client(), 3, life_s=0.9) as lost:
        lost.check()
        redis_server.stop()
        redis_server.start()
        with project_lock(redis_server.client(), 3, life_s=30.0) as other:
            time.sleep(1.0)
            with pytest.raises(ProjectLocked, match="took over while Redis was away"):
                lost.check()
            other.check()
        assert held(redis_server.client(), 3) is False
    with project_lock(redis_server.client(), 3):
        pass


def test_who_lost_the_lock_does_not_release_it_for_the_other(redis_server: RedisServer):
    with project_lock(redis_server.client(), 3, life_s=0.9):
        redis_server.stop()
        redis_server.start()
        other = project_lock(redis_server.client(), 3, life_s=30.0)
        other.__enter__()
        time.sleep(1.0)
    assert held(redis_server.client(), 3)
    other.__exit__(None, None, None)
