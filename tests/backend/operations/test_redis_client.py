"""Commands find the installation's Redis, and say in a sentence when it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from backend.operations.embedded_redis import EmbeddedRedis
from backend.operations.redis_client import RedisUnreachable, connected, redis_url
from backend.settings import Settings
from tests.backend.redis_server import RedisServer


def test_the_one_of_the_settings_comes_first(redis_server: RedisServer, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis_url=redis_server.url)
    with connected(settings) as client:
        client.set("a", "b")
    assert redis_server.client().get("a") == b"b"


def test_else_the_one_of_clickmask_up(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with EmbeddedRedis(tmp_path) as url, connected(settings) as client:
        assert client.ping()
        assert redis_url(settings) == url
    with (
        pytest.raises(RedisUnreachable, match="start `clickmask up`, or set CLICKMASK_REDIS_URL"),
        connected(settings),
    ):
        pass


def test_one_that_goes_away_meanwhile_is_named(redis_server: RedisServer, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis_url=redis_server.url)
    with pytest.raises(RedisUnreachable, match="does not answer"), connected(settings) as client:
        redis_server.stop()
        client.get("a")


def test_a_wrong_password_is_named_without_it(redis_server: RedisServer, tmp_path: Path) -> None:
    redis_server.client().config_set("requirepass", "right")
    address = redis_server.url.replace("unix://", "unix://:hidden-word@")
    with (
        pytest.raises(RedisUnreachable, match="refuses the password") as caught,
        connected(Settings(home=tmp_path, redis_url=address)),
    ):
        pass
    assert "hidden-word" not in str(caught.value)
    assert isinstance(caught.value.__cause__, redis.AuthenticationError)


def test_a_cluster_is_named(redis_folder: Path, tmp_path: Path) -> None:
    cluster = RedisServer(redis_folder, "--cluster-enabled", "yes")
    cluster.start()
    cluster.client().execute_command("CLUSTER", "ADDSLOTS", *range(16384))
    with (
        pytest.raises(RedisUnreachable, match="is a cluster .*: set CLICKMASK_REDIS_URL"),
        connected(Settings(home=tmp_path, redis_url=cluster.url)),
    ):
        pass
    cluster.stop()


def test_one_that_refuses_is_not_said_to_be_away(redis_server: RedisServer, tmp_path: Path) -> None:
    redis_server.client().config_set("maxmemory", 1)
    settings = Settings(home=tmp_path, redis_url=redis_server.url)
    with (
        pytest.raises(RedisUnreachable, match="refuses what it is asked.*its memory"),
        connected(settings) as client,
    ):
        client.set("a", 1)
