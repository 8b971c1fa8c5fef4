"""Counts the clicks that the objects of saved annotations took, by the model version that answered them.

A webhook brings the whole annotation, and its masks tell in their ``meta`` how they were made. What is kept is a few
numbers for each annotation; annotations that neither an event nor a comparison told of are not counted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from backend.json_fields import elements
from backend.label_studio.mask_regions import object_id
from backend.label_studio.region_meta import RegionMeta
from backend.redis_store import OBJECT_CLICKS, readable

Tally = dict[str, tuple[int, int]]  # version -> objects, and the clicks and boxes that made them
FIELD = "made"  # of an annotation in an event: its tally


def tally(results: Any) -> Tally:
    """Count the objects of an annotation that clicks have made.

    Args:
        results: the ``result`` of an annotation, whoever wrote it.
    """
    made: dict[str, RegionMeta] = {}
    for entry in elements(results):
        if isinstance(entry, dict):
            meta = RegionMeta.read(entry.get("meta"))
            if meta.version and meta.prompts:
                made.setdefault(object_id(str(entry.get("id", ""))), meta)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for meta in made.values():
        counts[meta.version][0] += 1
        counts[meta.version][1] += len(set(meta.prompts))
    return {version: (objects, clicks) for version, (objects, clicks) in counts.items()}


def without_result(annotation: Any) -> Any:
    """Replace an annotation's result by its tally, and by whether there is one at all."""
    if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
        return annotation
    results = annotation["result"]
    return {**annotation, "result": results and [{}], FIELD: tally(results)}


def note(client: Any, project: int, annotations: Iterable[Any]) -> None:
    """Keep the tallies of annotations that were created or changed.

    Args:
        client: a `redis.Redis` client. Its errors pass through.
        annotations: as `without_result` makes them; those without a tally are passed over.
    """
    made = {
        str(a["id"]): json.dumps(a[FIELD])
        for a in annotations
        if isinstance(a, dict) and isinstance(a.get("id"), int) and FIELD in a
    }
    if made:
        client.hset(f"{OBJECT_CLICKS}{project}", mapping=made)


def forget(client: Any, project: int, annotations: Iterable[Any]) -> None:
    """Forget annotations that were deleted: objects with an id, as events list them."""
    gone = [a["id"] for a in annotations if isinstance(a, dict) and isinstance(a.get("id"), int)]
    if gone:
        client.hdel(f"{OBJECT_CLICKS}{project}", *gone)


def tallies(client: Any, project: int, annotations: Iterable[int]) -> list[Tally]:
    """Return the tallies of some annotations, those that can be read. Errors of Redis pass through."""
    stored = client.hgetall(f"{OBJECT_CLICKS}{project}")
    found = (stored.get(str(number).encode()) for number in annotations)
    return readable((text for text in found if text is not None), _parse)


def _parse(text: bytes) -> Tally:
    return {version: (int(objects), int(clicks)) for version, (objects, clicks) in json.loads(text).items()}
