"""Clicks of accepted objects, counted from what Label Studio really sends and kept in a real Redis."""

from __future__ import annotations

from typing import Any

import pytest

from backend.jobs.object_clicks import forget, note, tallies, tally, without_result
from tests.backend import recordings
from tests.backend.redis_server import RedisServer


def region(number: str, version: str, *prompts: str, **more: Any) -> dict[str, Any]:
    meta = {"model_version": version, "prompts": list(prompts), "clicks": len(prompts)}
    return {"id": number, "type": "brushlabels", "value": {"rle": [1]}, "meta": meta, **more}


def test_objects_and_clicks_are_counted_by_version() -> None:
    results = [
        region("cm00000000000a", "base-1-0a", "k1", "k2"),
        region("cm00000000000a", "base-1-0a", "k1", "k2", type="labels"),  # the same region's name
        region("cm00000000000a-2", "base-1-0a", "k1", "k2"),  # its polygon
        region("cm00000000000b", "base-1-0a", "box"),
        region("cm00000000000c", "project-3-1-0b", "k4"),
        {"id": "hand", "type": "brushlabels", "value": {"rle": [1]}},  # painted by hand
        {"id": "k9", "type": "keypointlabels", "value": {"x": 1, "y": 1}},
        None,
    ]
    assert tally(results) == {"base-1-0a": (2, 3), "project-3-1-0b": (1, 1)}


@pytest.mark.parametrize("results", [None, {}, [{"meta": 3}], [{"id": [], "meta": {"model_version": 4}}]])
def test_what_others_wrote_counts_nothing(results: Any) -> None:
    assert tally(results) == {}


def test_a_recorded_annotation_loses_its_masks_and_is_counted() -> None:
    annotation = recordings.body("73")["annotation"]
    for number, entry in enumerate(annotation["result"]):
        entry["meta"] = {"model_version": "base-1-0a", "prompts": [f"k{entry['id']}"], "clicks": number}
    kept = without_result(annotation)
    assert kept["made"] == {"base-1-0a": (2, 2)}
    assert kept["result"] == [{}]
    assert "rle" not in str(kept)


def test_they_are_kept_changed_and_forgotten(redis_server: RedisServer) -> None:
    client = redis_server.client()

    def save(number: int, *prompts: str) -> None:
        results = [region("cm00000000000a", "base-1-0a", *prompts)]
        note(client, 3, [without_result({"id": number, "result": results}), {"id": 7}, None])

    save(1, "k1")
    save(2, "k1", "k2")
    save(1, "k1", "k2", "k3")
    assert tallies(client, 3, [1, 2, 7]) == [{"base-1-0a": (1, 3)}, {"base-1-0a": (1, 2)}]
    assert tallies(client, 3, [2]) == [{"base-1-0a": (1, 2)}]
    forget(client, 3, [{"id": 1}, {}, 5])
    assert tallies(client, 3, [1, 2]) == [{"base-1-0a": (1, 2)}]
    assert tallies(client, 4, [1]) == []


def test_a_damaged_tally_is_left_out(redis_server: RedisServer) -> None:
    client = redis_server.client()
    note(client, 3, [without_result({"id": 1, "result": [region("cm00000000000a", "base-1-0a", "k1")]})])
    damaged = ["{", "[]", '{"v": 3}', '{"v": ["a", "b"]}', b"\xff"]
    client.hset("clickmask:object-clicks:3", mapping={str(n): text for n, text in enumerate(damaged, 2)})
    assert tallies(client, 3, range(1, 9)) == [{"base-1-0a": (1, 1)}]
