"""The ledger: what Label Studio reported about annotations, kept in Redis.

Only identity, time and state are kept. The annotations themselves, with their masks, are fetched from Label Studio
when they are needed: the ledger stays small, and holds neither the images' owners' data nor the project's token that
is part of every webhook.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from fine_tune.project import keys
from fine_tune.project.acceptance import accepts, facts

# Writes an annotation's record unless one is there that is as recent. One script, so that events which arrive
# together by several processes cannot overtake each other. Times of Label Studio are ISO 8601 in UTC, of one
# form, so that they compare as text.
_WRITE = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  local seen = cjson.decode(old)
  if seen.deleted then return 0 end
  if old == ARGV[3] then return 0 end
  if seen.updated_at > ARGV[2] then return 0 end
  if seen.updated_at == ARGV[2] and ARGV[4] == '' then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class Ledger:
    """The annotations of all projects, as their events and comparisons have told.

    Args:
        redis: a `redis.Redis` client. Its errors pass through.
    """

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._write = redis.register_script(_WRITE)

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
        return {int(number): json.loads(text) for number, text in stored.items()}

    def accepted(self, project: int, rule: str) -> dict[int, str]:
        """Return id -> updated_at of the annotations that count under a rule of `acceptance.RULES`."""
        return {n: r["updated_at"] for n, r in self.annotations(project).items() if accepts(rule, r)}

    def fresh(self, project: int, rule: str) -> set[int]:
        """Return the accepted annotations that no finished job has seen as they are now."""
        seen = {int(n): text.decode() for n, text in self._redis.hgetall(keys.seen(project)).items()}
        return {n for n, updated in self.accepted(project, rule).items() if seen.get(n) != updated}

    def mark_seen(self, project: int, annotations: Mapping[int, str]) -> None:
        """Remember (id -> updated_at) what a job has learned from, whatever became of its model."""
        with self._redis.pipeline() as pipe:
            pipe.delete(keys.seen(project))
            if annotations:
                pipe.hset(keys.seen(project), mapping={str(n): updated for n, updated in annotations.items()})
            pipe.execute()

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
        newer = sum(self._store(project, n, kept["updated_at"], kept, True) for n, kept in listed.items())
        gone = sum(self._forget(project, number) for number in known - listed.keys())
        return newer, gone

    def meet(self, project: int) -> None:
        """Remember that a project uses clickmask, though nothing of its annotations has been heard yet."""
        self._redis.sadd(keys.PROJECTS, project)

    def projects(self) -> list[int]:
        """Return the ids of all projects with a record, and of those that were met."""
        found = self._redis.scan_iter(match=keys.ANNOTATION_PATTERN)
        recorded = {keys.project_of(key) for key in found}
        return sorted(recorded | {int(number) for number in self._redis.smembers(keys.PROJECTS)})

    def forget_project(self, project: int) -> int:
        """Forget all that is known of a project; return how many annotations that were."""
        known = len(self.annotations(project))
        self._redis.delete(keys.records(project), keys.seen(project))
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
        args = [number, updated, json.dumps(record), "over" if over else ""]
        return int(self._write(keys=[keys.records(project)], args=args))


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
    project = body.get("project")
    number = project.get("id") if isinstance(project, dict) else project
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError("project.id is missing: send the payload with the webhook")
    return number
