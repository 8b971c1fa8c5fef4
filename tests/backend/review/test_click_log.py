"""Traces in a real Redis: what is written comes back, off the path of the click, and within bounds."""

import json
import threading

import pytest

from backend.redis_store import OptionalRedis
from backend.review import click_log
from backend.review.click_log import ClickEvent, ClickLog
from tests.backend.click_events import answered, disk_map, events


@pytest.fixture
def store(redis_server):
    return OptionalRedis(redis_server.url)


def test_events_come_back_in_order(store):
    log = ClickLog(store, days=90)
    for ids in (("a",), ("a", "b-"), ("a", "c")):
        log.record(answered(*ids))
    store.flush()
    read = list(log.read(3))
    assert [event.ids for event in read] == [("a",), ("a", "b-"), ("a", "c")]
    first, second = read[0], read[1]
    assert (first.task, first.annotator, first.version) == (7, "ann@example.com", "base-1-12345678")
    assert second.points[1][2] == 0
    assert first.effect.change == 1
    assert 0 < second.effect.change < 0.5
    assert second.footprint.iou(disk_map(12) > 0) == 1
    assert list(log.read(4)) == []


def test_json_keeps_everything():
    event = events(("a", "b-"), earlier=("x",))[0]
    assert ClickEvent.from_json(event.to_json()) == event


def test_entries_of_other_versions_are_left_out(store):
    log = ClickLog(store, days=90)
    store.client().xadd("clickmask:trace:3", {"e": '{"time": 1}'})
    store.client().xadd("clickmask:trace:3", {"other": "x"})
    log.record(answered("a"))
    store.flush()
    assert len(list(log.read(3))) == 1


def test_nothing_is_measured_in_the_thread_of_the_click(store):
    seen = []

    def before():
        seen.append(threading.current_thread())

    ClickLog(store, days=90).record(answered("a", before=before))
    store.flush()
    assert seen
    assert seen[0] is not threading.current_thread()


def test_without_redis_only_traces_are_lost(redis_server, store):
    log = ClickLog(store, days=90)
    redis_server.stop()
    log.record(answered("a"))
    store.flush()
    redis_server.start()
    assert store.state() == "up"
    log.record(answered("a", "b"))
    store.flush()
    assert [event.ids for event in log.read(3)] == [("a", "b")]


def test_no_redis_at_all_and_switched_off(store):
    absent = ClickLog(OptionalRedis(None), days=90)
    absent.record(answered("a"))
    assert list(absent.read(3)) == []
    ClickLog(store, days=0).record(answered("a"))
    ClickLog(store, days=90).record(answered("a", project=None))
    store.flush()
    assert store.client().keys("clickmask:trace:*") == []


def test_a_measure_that_fails_costs_one_event(store, caplog):
    log = ClickLog(store, days=90)

    def broken():
        raise RuntimeError("no such map")

    log.record(answered("a", before=broken))
    log.record(answered("b"))
    store.flush()
    assert [event.ids for event in log.read(3)] == [("b",)]
    assert "a click is not logged" in caplog.text


def test_length_is_bounded(store, monkeypatch):
    monkeypatch.setattr(click_log, "MAX_EVENTS", 150)
    log = ClickLog(store, days=90)
    for _ in range(600):
        log.record(answered("a"))
        store.flush()
    # Redis trims whole nodes of a hundred entries.
    assert 150 <= store.client().xlen("clickmask:trace:3") < 260


def test_old_events_are_forgotten(store):
    for number in range(400):
        store.client().xadd("clickmask:trace:3", {"e": "old"}, id=f"{number + 1}-0")
    log = ClickLog(store, days=1)
    log.record(answered("a"))
    store.flush()
    assert store.client().xlen("clickmask:trace:3") <= 101
    assert 0 < store.client().ttl("clickmask:trace:3") <= 86_400


def test_reading_goes_on_page_by_page(store, monkeypatch):
    monkeypatch.setattr(click_log, "PAGE", 7)
    log = ClickLog(store, days=90)
    for number in range(20):
        log.record(answered("a", task=number))
        store.flush()
    assert [event.task for event in log.read(3)] == list(range(20))


def test_memory_per_event_is_what_the_module_states(store):
    entry = {click_log.FIELD: events(tuple("abcdef"))[0].to_json()}
    pipe = store.client().pipeline()
    for _ in range(5_000):
        pipe.xadd("clickmask:trace:3", entry)
    pipe.execute()
    used = store.client().memory_usage("clickmask:trace:3", samples=0)
    assert used / 5_000 * click_log.MAX_EVENTS < 100e6


def test_events_of_other_versions_are_read_as_far_as_they_are_known():
    (event,) = events(("a",))
    entry = json.loads(event.to_json())
    older = {**entry, "effect": {**entry["effect"], "stable": 0.5, "solid": 0.25}}
    del older["effect"]["stability_score"], older["effect"]["solidity"]
    read = ClickEvent.from_json(json.dumps(older))
    assert (read.effect.stability_score, read.effect.solidity) == (0.5, 0.25)
    newer = {**entry, "mood": "fine", "effect": {**entry["effect"], "hue": 1}}
    assert ClickEvent.from_json(json.dumps(newer)) == event
    for odd in ("{}", "[]", "5", "{", json.dumps({**entry, "effect": 5})):
        with pytest.raises(ValueError):
            ClickEvent.from_json(odd)
