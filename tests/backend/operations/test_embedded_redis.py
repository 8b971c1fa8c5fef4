"""The embedded Redis: a real server that keeps what it was told, one per folder."""

from __future__ import annotations

import pytest
import redis

from backend.operations.embedded_redis import EmbeddedRedis, EmbeddedRedisError
from backend.operations.supervisor import ChildEnded, Supervisor


def test_what_was_written_is_there_after_a_restart(tmp_path):
    for expected in (None, b"kept"):
        with EmbeddedRedis(tmp_path) as url:
            client = redis.Redis.from_url(url)
            assert client.get("key") == expected
            client.set("key", "kept")
    with pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_supervisor_sees_that_it_is_gone(tmp_path):
    server = EmbeddedRedis(tmp_path)
    with server, Supervisor() as children:
        children.watch(server.child)
        children.check()
        server.child.process.kill()
        server.child.process.wait()
        with pytest.raises(ChildEnded, match="the embedded Redis ended"):
            children.check()


def test_a_second_one_on_the_same_folder_is_refused_and_the_first_goes_on(tmp_path):
    with EmbeddedRedis(tmp_path) as url:
        with pytest.raises(EmbeddedRedisError, match="CLICKMASK_HOME"):
            EmbeddedRedis(tmp_path).start()
        assert redis.Redis.from_url(url).ping()


def test_a_folder_with_a_long_name_will_do(tmp_path):
    with EmbeddedRedis(tmp_path / ("long" * 30)) as url:
        assert redis.Redis.from_url(url).ping()


def test_a_server_that_cannot_start_says_why(tmp_path):
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis/appendonly.aof").write_text("not a file of Redis")
    with pytest.raises(EmbeddedRedisError, match="Bad file format"):
        EmbeddedRedis(tmp_path).start()
