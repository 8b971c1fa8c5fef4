"""The ledger: what Label Studio reported about annotations, kept in Redis.

Only identity, time and state are kept. The annotations themselves, with their masks, are fetched from Label Studio
when they are needed: the ledger stays small, and holds neither the images' owners' data nor the project's token that
is part of every webhook.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from fine_tune.project import keys
from fine_tune.project.acceptance import RULES, accepts, facts

logger = logging.getLogger(__name__)

BATCH = 500  # records that one round trip carries

# Writes an annotation's record unless one is there that is as recent, and brings the sets of fresh annotations up to
# date, one for each rule: how many are fresh is asked with every event, and must not take longer the more there are.
# What is there and cannot be read is written over. One script, so that events which arrive together by several
# processes cannot overtake each other. Times of Label Studio are ISO 8601 in UTC, of one form, so that they compare
# as text.
# KEYS: records, seen, and a set for each rule; ARGV: id, updated_at, record, "over" or "", and "1" for each rule that
# accepts the record.
_WRITE = """
local old, written = redis.call('HGET', KEYS[1], ARGV[1]), 1
if old == ARGV[3] then
  written = 0
elseif old then
  local readable, known = pcall(cjson.decode, old)
  if readable and type(known) == 'table' and type(known.updated_at) == 'string' then
    if known.deleted then return 0 end
    if known.updated_at > ARGV[2] then return 0 end
    if known.updated_at == ARGV[2] and ARGV[4] == '' then return 0 end
  end
end
if written == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
local seen = redis.call('HGET', KEYS[2], ARGV[1]) == ARGV[2]
for rule = 3, #KEYS do
  if ARGV[rule + 2] == '1' and not seen then
    redis.call('SADD', KEYS[rule], ARGV[1])
  else
    redis.call('SREM', KEYS[rule], ARGV[1])
  end
end
return written
"""

# Notes what a job has learned from; what has changed since stays fresh. KEYS as above; ARGV: id, updated_at, ...
_LEARN = """
for place = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[place], ARGV[place + 1])
  local record = redis.call('HGET', KEYS[1], ARGV[place])
  local readable, known = pcall(cjson.decode, record or '')
  if readable and type(known) == 'table' and known.updated_at == ARGV[place + 1] then
    for rule = 3, #KEYS do redis.call('SREM', KEYS[rule], ARGV[place]) end
  end
end
"""


class Ledger:
    """The annotations of all projects, as their events and comparisons have told.

    Args:
        redis: a `redis.Redis` client. Its errors pass through.
    """

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._write, self._learn = redis.register_script(_WRITE), redis.register_script(_LEARN)

    def record(self, action: str, body: dict[str, Any]) -> int:
        """Record one webhook body; the same one may come any number of times.

        Args:
            action: ``ANNOTATION_CREATED``, ``ANNOTATIONS_CREATED``, ``ANNOTATION_UPDATED``, the enterprise edition's
                ``REVIEW_...``, ``ANNOTATIONS_DELETED``, ``TASKS_DELETED`` or ``PROJECT_DELETED``; others do not
                concern the ledger.
            body: as Label Studio sends it.

        Returns:
            How many records are new or newer; 0 for what was known or does not concern the ledger.

        Raises:
            ValueError: the body lacks the numbers that the action needs.
        """
        if action in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED"):
            return self._noted(body)
        if action.startswith("REVIEW_"):
            return self._reviewed(body)
        if action == "ANNOTATIONS_CREATED":
            return self._several(body)
        if action == "ANNOTATIONS_DELETED":
            return sum(self._forget(_project(body), number) for number in _numbers(body, "annotations"))
        if action == "TASKS_DELETED":
            return self._without_tasks(_project(body), set(_numbers(body, "tasks")))
        if action == "PROJECT_DELETED":
            return self.forget_project(_project(body))
        return 0

    def annotations(self, project: int) -> dict[int, dict[str, Any]]:
        """Return the records of a project by annotation id, without the deleted ones; see `acceptance.facts`."""
        return {
            number: record for number, record in self._records(project).items() if not record.get("deleted")
        }

    def _records(self, project: int) -> dict[int, dict[str, Any]]:
        stored = self._redis.hgetall(keys.records(project))
        return _read((number, text) for number, text in stored.items())

    def accepted(self, project: int, rule: str) -> dict[int, str]:
        """Return id -> updated_at of the annotations that count under a rule of `acceptance.RULES`."""
        return {n: r["updated_at"] for n, r in self.annotations(project).items() if accepts(rule, r)}

    def fresh(self, project: int, rule: str) -> set[int]:
        """Return the accepted annotations that no finished job has seen as they are now."""
        self._ensure_index(project)
        return {int(number) for number in self._redis.smembers(keys.fresh(project, rule))}

    def count_fresh(self, project: int, rule: str) -> int:
        """Count `fresh`, in the same time however many annotations there are."""
        self._ensure_index(project)
        return int(self._redis.scard(keys.fresh(project, rule)))

    def mark_seen(self, project: int, annotations: Mapping[int, str]) -> None:
        """Remember (id -> updated_at) what a job has learned from, whatever became of its model."""
        self._ensure_index(project)
        pairs = list(annotations.items())
        for start in range(0, len(pairs), BATCH):
            args = [value for pair in pairs[start : start + BATCH] for value in pair]
            self._learn(keys=_keys(project), args=args)
        gone = [int(number) for number in self._redis.hkeys(keys.seen(project))]
        gone = [number for number in gone if number not in annotations]
        for start in range(0, len(gone), BATCH):
            self._unsee(project, gone[start : start + BATCH])

    def _unsee(self, project: int, numbers: list[int]) -> None:
        """Forget that annotations were learned from; those that still count are fresh again."""
        self._redis.hdel(keys.seen(project), *numbers)
        stored = self._redis.hmget(keys.records(project), numbers)
        records = _read((n, text) for n, text in zip(numbers, stored, strict=True) if text is not None)
        self._store_all(project, records)

    def _ensure_index(self, project: int) -> None:
        """Fill the sets of fresh annotations where an older version, which has none, kept the records."""
        if self._redis.exists(keys.indexed(project)):
            return
        self._store_all(project, self._records(project))
        self._redis.set(keys.indexed(project), 1)

    def reconcile(
        self,
        project: int,
        listing: Callable[[], Iterable[Mapping[str, Any]]],
        tasks: Container[int] | None = None,
    ) -> tuple[int, int]:
        """Compare with Label Studio, and take over what the webhooks missed.

        Args:
            listing: asks Label Studio for the annotations; called once. Its errors pass through, and then nothing
                has changed.
            tasks: that all annotations were asked for of; None for those of the whole project.

        Returns:
            How many records were new or newer, and how many annotations turned out to be deleted.
        """
        records = {  # before asking: what is created meanwhile is not missing
            number: record
            for number, record in self._records(project).items()
            if tasks is None or record.get("deleted") or record.get("task") in tasks
        }
        known = {number for number, record in records.items() if not record.get("deleted")}
        listed = {a["id"]: facts(a) for a in listing()}
        for number in listed.keys() & (records.keys() - known):  # as after a backup was restored
            self._redis.hdel(keys.records(project), number)
        newer = self._store_all(project, listed)
        gone = sum(self._forget(project, number) for number in known - listed.keys())
        return newer, gone

    def meet(self, project: int) -> None:
        """Remember that a project uses clickmask, though nothing of its annotations has been heard yet."""
        self._redis.sadd(keys.PROJECTS, project)

    def projects(self) -> list[int]:
        """Return the ids of all projects with a record, and of those that were met."""
        found = self._redis.scan_iter(match=keys.ANNOTATION_PATTERN)
        return sorted(keys.projects_of([*found, *self._redis.smembers(keys.PROJECTS)]))

    def forget_project(self, project: int) -> int:
        """Forget all that is known of a project; return how many annotations that were."""
        known = len(self.annotations(project))
        self._redis.delete(keys.indexed(project), *_keys(project))
        self._redis.srem(keys.PROJECTS, project)
        return known

    def _noted(self, body: dict[str, Any]) -> int:
        annotation = _annotation(body)
        kept = facts(annotation)
        return self._store(_project(body), annotation["id"], kept["updated_at"], kept)

    def _reviewed(self, body: dict[str, Any]) -> int:
        """Write a review over the record as it is, because it does not change the annotation's own time."""
        annotation, review = _annotation(body), body.get("review")
        kept = facts(annotation)
        if isinstance(review, dict):
            kept["reviewed"] = bool(review.get("accepted"))
        return self._store(_project(body), annotation["id"], kept["updated_at"], kept, over=True)

    def _several(self, body: dict[str, Any]) -> int:
        """Record annotations that were made from predictions; Label Studio lists them under ``annotation``."""
        listed = body.get("annotation")
        if not isinstance(listed, list):
            raise ValueError("annotation is no list: send the payload with the webhook")
        named = [entry for entry in listed if isinstance(entry, dict) and _is_id(entry.get("id"))]
        return sum(self._noted({**body, "annotation": annotation}) for annotation in named)

    def _without_tasks(self, project: int, tasks: set[int]) -> int:
        gone = [n for n, record in self.annotations(project).items() if record.get("task") in tasks]
        return sum(self._forget(project, number) for number in gone)

    def _forget(self, project: int, number: int) -> int:
        # "~" sorts after every date: whatever still arrives about a deleted annotation is late.
        return self._store(project, number, "~", {"updated_at": "~", "deleted": True})

    def _store(
        self, project: int, number: int, updated: str, record: dict[str, Any], over: bool = False
    ) -> int:
        return int(self._write(keys=_keys(project), args=_arguments(number, updated, record, over)))

    def _store_all(self, project: int, records: Mapping[int, dict[str, Any]]) -> int:
        """Store many records, over those as recent; return how many are new or newer."""
        written, numbers = 0, list(records)
        for start in range(0, len(numbers), BATCH):
            with self._redis.pipeline(transaction=False) as pipe:
                for number in numbers[start : start + BATCH]:
                    args = _arguments(number, records[number]["updated_at"], records[number], over=True)
                    self._write(keys=_keys(project), args=args, client=pipe)
                written += sum(int(count) for count in pipe.execute())
        return written


def _read(stored: Iterable[tuple[Any, bytes]]) -> dict[int, dict[str, Any]]:
    """Read records by annotation id; one that is damaged is left out, and the next comparison writes it anew."""
    found = {}
    for number, text in stored:
        try:
            record = json.loads(text)
            if not isinstance(record["updated_at"], str):
                raise TypeError("updated_at is no text")
            found[int(number)] = record
        except (ValueError, TypeError, KeyError) as error:
            logger.warning("the record of annotation %r is left out, it cannot be read: %s", number, error)
    return found


def _keys(project: int) -> list[str]:
    return [keys.records(project), keys.seen(project), *(keys.fresh(project, rule) for rule in RULES)]


def _arguments(number: int, updated: str, record: Mapping[str, Any], over: bool) -> list[Any]:
    counts = ["1" if not record.get("deleted") and accepts(rule, record) else "" for rule in RULES]
    return [number, updated, json.dumps(record), "over" if over else "", *counts]


def project_of(body: Mapping[str, Any]) -> int | None:
    """Return the project (id) that a webhook's body names; None where it names none."""
    project = body.get("project")
    number = project.get("id") if isinstance(project, dict) else project
    return number if _is_id(number) else None


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(body: dict[str, Any], key: str) -> list[int]:
    """Return the ids of a list of objects."""
    listed = body.get(key)
    if not isinstance(listed, list):
        raise ValueError(f"{key} is missing: send a list of objects with an id")
    return [entry["id"] for entry in listed if isinstance(entry, dict) and _is_id(entry.get("id"))]


def _annotation(body: dict[str, Any]) -> dict[str, Any]:
    annotation = body.get("annotation")
    if not isinstance(annotation, dict) or not _is_id(annotation.get("id")):
        raise ValueError("annotation.id is missing: send the payload with the webhook")
    return annotation


def _project(body: dict[str, Any]) -> int:
    number = project_of(body)
    if number is None:
        raise ValueError("project.id is missing: send the payload with the webhook")
    return number
