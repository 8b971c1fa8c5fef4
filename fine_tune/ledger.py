"""What Label Studio reported about annotations, kept in Redis: which there are, and how recent they are.

Only identity and state are kept. The annotations themselves, with their masks, are fetched from Label Studio when
they are needed: the ledger stays small, and holds neither the images' owners' data nor the project's token that
is part of every webhook.
"""

from __future__ import annotations

import json
import time
from typing import Any

PREFIX = "clickmask:ledger:"

# Writes an annotation's record unless one is there that is as recent. One script, so that events which arrive
# together by several processes cannot overtake each other. Times of Label Studio are ISO 8601 in UTC, of one
# form, so that they compare as text.
_WRITE = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  local seen = cjson.decode(old)
  if seen.updated_at >= ARGV[2] then return 0 end
  if seen.deleted then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class Ledger:
    """The events of all projects.

    Args:
        redis: a `redis.Redis` client. Its errors pass through.
    """

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._write = redis.register_script(_WRITE)

    def record(self, action: str, body: dict[str, Any]) -> int:
        """Take note of one webhook body, any number of times.

        Args:
            action: ``ANNOTATION_CREATED``, ``ANNOTATION_UPDATED``, ``ANNOTATIONS_DELETED`` or ``START_TRAINING``;
                others do not concern the ledger.
            body: as Label Studio sends it.

        Returns:
            How many records are new or newer; 0 for what was known or does not concern the ledger.

        Raises:
            ValueError: the body lacks the numbers that the action needs.
        """
        if action in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED"):
            return self._accepted(body)
        if action == "ANNOTATIONS_DELETED":
            return self._deleted(body)
        if action == "START_TRAINING":
            key = f"{PREFIX}{_project(body)}:requested"
            self._redis.set(key, json.dumps({"at": time.time()}))
            return 1
        return 0

    def annotations(self, project: int) -> dict[int, dict[str, Any]]:
        """Return the records of a project by annotation id, without the deleted ones.

        A record has the keys ``task``, ``updated_at``, ``completed_by``, ``was_cancelled`` and ``lead_time``.
        """
        stored = self._redis.hgetall(_key(project))
        records = {int(number): json.loads(text) for number, text in stored.items()}
        return {number: record for number, record in records.items() if not record.get("deleted")}

    def _accepted(self, body: dict[str, Any]) -> int:
        annotation = body.get("annotation")
        if not isinstance(annotation, dict) or not isinstance(annotation.get("id"), int):
            raise ValueError("annotation.id is missing: send the payload with the webhook")
        updated = str(annotation.get("updated_at") or "")
        record = {
            "task": annotation.get("task"),
            "updated_at": updated,
            "completed_by": annotation.get("completed_by"),
            "was_cancelled": bool(annotation.get("was_cancelled")),
            "lead_time": annotation.get("lead_time"),
        }
        return self._store(_project(body), annotation["id"], updated, record)

    def _deleted(self, body: dict[str, Any]) -> int:
        project, listed = _project(body), body.get("annotations")
        if not isinstance(listed, list):
            raise ValueError("annotations is missing: send a list of objects with an id")
        numbers = [
            entry["id"] for entry in listed if isinstance(entry, dict) and isinstance(entry.get("id"), int)
        ]
        # "~" sorts after every date: whatever still arrives about a deleted annotation is late.
        gone = {"updated_at": "~", "deleted": True}
        return sum(self._store(project, number, "~", gone) for number in numbers)

    def _store(self, project: int, number: int, updated: str, record: dict[str, Any]) -> int:
        return int(self._write(keys=[_key(project)], args=[number, updated, json.dumps(record)]))


def _key(project: int) -> str:
    return f"{PREFIX}{project}:annotations"


def _project(body: dict[str, Any]) -> int:
    project = body.get("project")
    number = project.get("id") if isinstance(project, dict) else project
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError("project.id is missing: send the payload with the webhook")
    return number
