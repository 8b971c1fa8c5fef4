"""What the map of an object depends on, and where maps are kept."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest

from backend.clicks.map_cache import CacheKey, ClickSequence, MapCache, pack, unpack
from backend.label_studio.predict_request import PredictRequest
from backend.redis_store import MAPS, OptionalRedis
from model.click import Click
from tests.backend.predict_bodies import keypoint, predict, rectangle
from tests.backend.redis_server import RedisServer

CLICKS = (Click(10.5, 20.5), Click(30.25, 40.0, positive=False))
KEY = CacheKey("base-1-a", "image", ("Cat",))
K1, K2, NEGATIVE = keypoint("k1", 10, 10), keypoint("k2", 20, 20), keypoint("k3", 30, 30, positive=False)


def blob(height: int = 60, width: int = 80, value: int = 200) -> np.ndarray:
    values = np.zeros((height, width), np.uint8)
    values[10:30, 20:50] = value
    return values


@pytest.mark.parametrize(
    "other",
    [
        CacheKey("base-2-b", "image", ("Cat",)),
        CacheKey("base-1-a", "other", ("Cat",)),
        CacheKey("base-1-a", "image", ("Dog",)),
        CacheKey("base-1-a", "image", ("Cat", "Dog")),
        CacheKey("base-1-a", "image", ("Cat",), start="box"),
        CacheKey("base-1-a", "image", ("Cat",), base=CLICKS),
        CacheKey("base-1-a", "image", ("Cat",), device="cuda"),
    ],
)
def test_a_key_names_everything_the_map_depends_on(other: CacheKey) -> None:
    key = CacheKey("base-1-a", "image", ("Cat",))
    assert key.name(CLICKS) == CacheKey("base-1-a", "image", ("Cat",)).name(CLICKS)
    assert other.name(CLICKS) != key.name(CLICKS)


def test_a_key_names_every_click_and_its_sign() -> None:
    key = CacheKey("v", "i", ("Cat",))
    turned = (CLICKS[0], Click(30.25, 40.0, positive=True))
    keys = {key.name(c) for c in ((), CLICKS[:1], CLICKS, CLICKS[::-1], turned)}
    assert len(keys) == 5
    assert CacheKey("v", "i", ("Cat",), base=CLICKS[:1]).name(CLICKS[1:]) != key.name(CLICKS)


def sequence(
    *prompts: dict[str, Any], start: np.ndarray | None = None, earlier: tuple[Click, ...] = ()
) -> ClickSequence:
    (prompt,) = PredictRequest.parse(predict(*prompts)).context or ()
    return ClickSequence.of(prompt, KEY, start, earlier)


def test_another_start_has_another_name() -> None:
    box = sequence(rectangle("r", 10, 10, 50, 50))
    assert (box.boxed, box.start is not None and box.start.shape) == (True, (100, 200))
    starts = [None, blob(100, 200), blob(100, 200, value=201)]
    names = {sequence(K1, start=start, earlier=CLICKS).name(1) for start in starts}
    assert len(names | {sequence(K1, start=starts[1]).name(1), box.name(0)}) == 5


def test_a_sequence_obeys_the_earlier_clicks_too() -> None:
    made = sequence(K1, K2, start=blob(100, 200), earlier=CLICKS)
    assert (made.in_force, len(made.clicks)) == ((*CLICKS, *made.clicks), 2)


def test_negative_clicks_on_nothing_are_empty() -> None:
    assert sequence(NEGATIVE).empty
    assert not sequence(rectangle("r", 10, 10, 50, 50)).empty
    assert not sequence(K1, NEGATIVE).empty
    assert not sequence(NEGATIVE, start=blob(100, 200)).empty


def test_negative_clicks_come_with_the_first_positive_one() -> None:
    made = [sequence(K1, NEGATIVE), sequence(NEGATIVE, K1, K2), sequence(NEGATIVE, start=blob(100, 200))]
    assert [known.first for known in made] == [1, 2, 1]
    assert sequence(rectangle("r", 10, 10, 50, 50)).first == 0


def test_the_map_before_the_newest_click() -> None:
    maps, made = MapCache(OptionalRedis(None), 1 << 20, ttl_s=60), sequence(K1, K2)
    assert maps.before(made) is None
    maps.put(made.name(1), blob(value=7))
    before = maps.before(made)
    assert before is not None and before.max() == 7
    box = sequence(rectangle("r", 10, 10, 50, 50))
    assert maps.before(box) is box.start


def test_memory_forgets_the_least_recently_used_by_bytes() -> None:
    maps = MapCache(OptionalRedis(None), capacity=2 * 60 * 80, ttl_s=60)
    for name in "abc":
        maps.put(name, blob())
        maps.get("a")
    assert [maps.get(name) is not None for name in "abc"] == [True, False, True]


def test_a_map_larger_than_the_memory_is_kept_for_the_next_click() -> None:
    maps = MapCache(OptionalRedis(None), capacity=10, ttl_s=60)
    maps.put("a", blob())
    assert maps.get("a") is not None
    maps.put("b", blob())
    assert maps.get("a") is None


def test_another_process_finds_the_map_in_redis(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    MapCache(store, 1 << 20, ttl_s=60).put("key", blob())
    store.flush()
    found = MapCache(OptionalRedis(redis_server.url), 1 << 20, ttl_s=60).get("key")
    assert found is not None
    assert found[1] == "redis"
    np.testing.assert_array_equal(found[0], blob())
    assert 0 < redis_server.client().ttl(MAPS + "key") <= 60


def test_a_process_that_computes_otherwise_does_not_find_it(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    MapCache(store, 1 << 20, ttl_s=60, computed="auto-auto-0:").put("key", blob())
    store.flush()
    for computed, found in (("auto-auto-1:", False), ("auto-auto-0:", True)):
        again = MapCache(OptionalRedis(redis_server.url), 1 << 20, ttl_s=60, computed=computed).get("key")
        assert (again is not None) is found


def test_redis_gone_is_a_miss(redis_server: RedisServer) -> None:
    maps = MapCache(OptionalRedis(redis_server.url), 1 << 20, ttl_s=60)
    redis_server.stop()
    assert maps.get("key") is None
    maps.put("key", blob())
    assert maps.get("key") is not None


def test_a_spoilt_entry_is_a_miss(redis_server: RedisServer) -> None:
    redis_server.client().set(MAPS + "key", pack(blob())[:-3] + b"xyz")
    assert MapCache(OptionalRedis(redis_server.url), 1 << 20, ttl_s=60).get("key") is None


def test_an_entry_too_large_for_redis_stays_in_memory(redis_server: RedisServer) -> None:
    store = OptionalRedis(redis_server.url)
    maps = MapCache(store, 1 << 30, ttl_s=60)
    maps.put("key", np.random.default_rng(0).integers(0, 256, (1100, 1100), np.uint8))
    store.flush()
    assert redis_server.client().exists(MAPS + "key") == 0
    assert maps.get("key") is not None


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((5, 7), np.uint8),
        np.full((3, 4), 255, np.uint8),
        np.eye(9, dtype=np.uint8),
        np.random.default_rng(1).integers(0, 256, (17, 31), np.uint8),
    ],
)
def test_packing_keeps_every_value(values: np.ndarray) -> None:
    unpacked = unpack(pack(values))
    assert unpacked is not None
    np.testing.assert_array_equal(unpacked, values)


def test_bytes_that_are_no_map_unpack_to_none() -> None:
    other_size = struct.pack("<HH", 10, 10) + pack(blob())[4:]
    for packed in (b"", b"short", pack(blob())[:30], pack(blob())[:-1], other_size):
        assert unpack(packed) is None


def test_maps_of_version_0_1_are_read() -> None:
    values = np.full((3, 4), 200, np.uint8)
    unpacked = unpack(pack(values)[:20] + zlib.compress(values.tobytes()))
    assert unpacked is not None
    np.testing.assert_array_equal(unpacked, values)


def test_maps_cannot_be_changed_by_their_readers() -> None:
    maps = MapCache(OptionalRedis(None), 1 << 20, ttl_s=60)
    maps.put("a", blob())
    found = maps.get("a")
    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found[0][0, 0] = 1
