"""A project's lock is held by one, given back, lost by the dead, and taken again after Redis was away."""

import subprocess
import sys

import pytest

from fine_tune.project import keys
from fine_tune.project.lock import ProjectLock, ProjectLocked, held, project_lock
from tests.backend.redis_server import RedisServer
from tests.waiting import until

LIFE_S = 6.0  # long enough for a heartbeat that a busy machine holds up


def is_held(redis_server: RedisServer) -> None:
    with pytest.raises(ProjectLocked), project_lock(redis_server.client(), 3):
        pass


def was_lost(lock: ProjectLock) -> str:
    try:
        lock.check()
    except ProjectLocked as error:
        return str(error)
    return ""


def test_one_at_a_time(redis_server: RedisServer):
    with project_lock(redis_server.client(), 3):
        is_held(redis_server)
        with project_lock(redis_server.client(), 4):
            pass
    with project_lock(redis_server.client(), 3):
        pass


def test_it_outlives_its_time_while_it_is_held(redis_server: RedisServer):
    client, key = redis_server.client(), keys.lock(3)
    with project_lock(client, 3, LIFE_S):
        client.pexpire(key, 5000)  # as if some time had passed
        until("more time", lambda: client.pttl(key) > 5000)
        is_held(redis_server)


def test_a_killed_holder_gives_way(redis_server: RedisServer):
    code = (
        "import redis, sys, time; from fine_tune.project.lock import project_lock\n"
        f"with project_lock(redis.Redis.from_url({redis_server.url!r}), 3, {LIFE_S}):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        is_held(redis_server)
    finally:
        holder.kill()
        holder.wait()
    until("its end", lambda: not held(redis_server.client(), 3))
    with project_lock(redis_server.client(), 3):
        pass


def test_redis_may_go_away_and_come_back_many_times(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    tried, renew = list[ProjectLock](), ProjectLock._renew
    monkeypatch.setattr(ProjectLock, "_renew", lambda lock: (tried.append(lock), renew(lock)))
    with project_lock(redis_server.client(), 3, LIFE_S) as lock:
        for _ in range(2):
            redis_server.stop()
            before = len(tried)
            until("a heartbeat that fails", lambda before=before: len(tried) > before)
            redis_server.start()  # without what it held
            until("the lock", lambda: held(redis_server.client(), 3))
            lock.check()
            is_held(redis_server)


def taken_over(redis_server: RedisServer, lock: ProjectLock) -> str:
    """What a holder says when Redis was away and another one was faster: in one command, or the holder might be."""
    redis_server.client().set(keys.lock(3), "another's")
    return until("its loss", lambda: was_lost(lock))


def test_a_lock_that_another_one_took_meanwhile_is_noticed(redis_server: RedisServer):
    with project_lock(redis_server.client(), 3, LIFE_S) as lost:
        lost.check()
        assert "took over while Redis was away" in taken_over(redis_server, lost)


def test_who_lost_the_lock_does_not_release_it_for_the_other(redis_server: RedisServer):
    with project_lock(redis_server.client(), 3, LIFE_S) as lost:
        taken_over(redis_server, lost)
    assert redis_server.client().get(keys.lock(3)) == b"another's"
    is_held(redis_server)
