"""A Redis that may be missing, and records that processes share through it."""

import json
import threading
from dataclasses import dataclass

import pytest

from backend.redis_store import KEPT, OptionalRedis, SharedRecords, readable
from tests.backend.redis_server import Failover, RedisServer
from tests.waiting import until


def test_without_redis_everything_is_its_default() -> None:
    store = OptionalRedis(None)
    assert store.attempt(lambda client: client.get("a"), "default") == "default"
    assert store.state() == "absent"
    store.write_behind(lambda client: client.set("a", "b"))
    store.flush()


def test_commands_reach_redis_now_and_later(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    assert store.state() == "up"
    store.write_behind(lambda client: client.set("a", "b"))
    store.flush()
    assert store.attempt(lambda client: client.get("a"), None) == b"b"


def test_caches_leave_half_of_redis_to_what_must_not_be_lost(redis_server: RedisServer) -> None:
    client = redis_server.client()
    used = client.info("memory")["used_memory"]
    for factor, fits in ((4, True), (1.5, False)):
        store = OptionalRedis(redis_server.url)  # which has not asked yet
        client.config_set("maxmemory", int(factor * used))
        store.cache_behind(lambda client, factor=factor: client.set(f"cached {factor}", "b"))
        store.write_behind(lambda client, factor=factor: client.set(f"kept {factor}", "b"))
        store.flush()
        assert bool(client.get(f"cached {factor}")) is fits and client.get(f"kept {factor}") == b"b"


def test_caches_are_written_where_the_memory_may_not_be_asked_for(redis_server: RedisServer) -> None:
    store, client = OptionalRedis(redis_server.url), redis_server.client()
    client.execute_command("ACL", "SETUSER", "default", "-info")
    store.cache_behind(lambda client: client.set("a", "b"))
    store.flush()
    assert client.get("a") == b"b"


def test_a_failing_entry_does_not_end_the_writer(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    store.write_behind(lambda client: 1 / 0)
    store.write_behind(lambda client: client.set("a", "b"))
    store.flush()
    assert redis_server.client().get("a") == b"b"


def test_closing_writes_what_waits_and_ends_the_writer(redis_server: RedisServer) -> None:
    before = set(threading.enumerate())
    store = OptionalRedis(redis_server.url)
    for number in range(20):
        store.write_behind(lambda client, number=number: client.set(f"n{number}", "b"))
    store.close(timeout_s=60)
    assert len(redis_server.client().keys("n*")) == 20
    assert not set(threading.enumerate()) - before


def test_a_refused_command_does_not_close_the_way_for_others(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = OptionalRedis(redis_server.url)
    redis_server.client().lpush("list", 1)
    for _ in range(3):
        assert store.attempt(lambda client: client.get("list"), "default") == "default"
    assert store.attempt(lambda client: client.llen("list"), None) == 1
    assert caplog.text.count("refuses") == 1


def test_the_address_does_not_make_a_click_wait(redis_server: RedisServer) -> None:
    store = OptionalRedis(f"{redis_server.url}?socket_timeout=12&socket_connect_timeout=12", timeout_s=0.5)
    assert store.state() == "up"
    connection = store.client().connection_pool.make_connection()
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (0.5, 0.5)


def test_what_cannot_be_looked_up_or_sent_is_left_out(redis_server: RedisServer) -> None:
    nowhere = OptionalRedis("redis://.redis.svc")
    assert nowhere.attempt(lambda client: client.get("a"), "default") == "default"
    assert nowhere.state() == "down"
    store = OptionalRedis(redis_server.url)
    assert store.attempt(lambda client: client.get("\ud800"), "default") == "default"
    assert store.attempt(lambda client: client.ping(), False)


def test_redis_may_go_and_come_back(redis_server: RedisServer) -> None:
    stores = OptionalRedis(redis_server.url, pause_s=3600), OptionalRedis(redis_server.url, pause_s=0.1)
    redis_server.stop()
    for store in stores:
        assert store.attempt(lambda client: client.get("a"), "default") == "default"
        assert store.state() == "down"
    resting, back = stores
    tried = []
    assert resting.attempt(tried.append, "default") == "default"
    assert not tried  # Redis is left alone for a while
    redis_server.start()
    until("its return", lambda: back.attempt(lambda client: client.ping(), False))


def test_connections_to_a_primary_that_became_a_copy_are_left(failover: Failover) -> None:
    store = OptionalRedis(failover.url)
    assert store.attempt(lambda client: client.set("a", 1), False)
    failover.happen()
    assert not store.attempt(lambda client: client.set("a", 2), False)
    assert store.attempt(lambda client: client.set("a", 2), False)
    assert failover.client().get("a") == b"2"


@dataclass(frozen=True)
class Note:
    at: float


def records(url: str | None) -> tuple[SharedRecords[Note], OptionalRedis]:
    store = OptionalRedis(url)
    return SharedRecords(store, "test:", lambda text: Note(float(text)), 60), store


def test_the_newest_record_under_some_keys_counts_wherever_it_was_made(redis_server: RedisServer) -> None:
    (ours, store), (others, other_store) = records(redis_server.url), records(redis_server.url)
    ours.put("a", Note(2), "2")
    others.put("b", Note(3), "3")
    store.flush(), other_store.flush()
    assert ours.newest(["a"]) == others.newest(["a"]) == Note(2)
    assert ours.newest(["a", "b"]) == others.newest(["a", "b"]) == Note(3)
    assert ours.newest(["c"]) is None
    assert 0 < redis_server.client().ttl("test:a") <= 60
    redis_server.stop()
    assert ours.newest(["a", "b"]) == Note(2)


def test_memory_keeps_the_latest_records() -> None:
    ours, _ = records(None)
    for number in range(KEPT + 1):
        ours.put(str(number), Note(number), "")
    assert ours.newest(["0"]) is None
    assert ours.newest(["1", str(KEPT)]) == Note(KEPT)


def test_what_cannot_be_read_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert readable([b"1", b"one", b"2"], float) == [1.0, 2.0]
    huge = [b"9" * 4000, b"[" * 100_000, b"\xff", b"3"]
    assert readable(huge, lambda text: float(json.loads(text))) == [3.0]
    assert "a record in Redis is left out" in caplog.text
