"""Updates the published quality of tasks when their annotations change, behind the webhook."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import redis

from backend.json_fields import elements, project_number
from backend.redis_store import OptionalRedis
from backend.review.project_review import ProjectReview, forget_tasks, published, tasks_of
from model.errors import ClickmaskError

logger = logging.getLogger(__name__)

SHARE = 0.1  # of the time, at most, goes into updates
BATCH = 100  # tasks whose masks are held at once
NAMED = 5  # tasks in a line of the log

ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
)


@dataclass
class _Changes:
    """What changed in a project: tasks whose annotations did, annotations and tasks that were deleted."""

    tasks: set[int] = field(default_factory=set)
    annotations: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)


class ReviewUpdater:
    """Rates tasks again when their annotations change, in projects that `clickmask review --apply` was used for.

    What is published of a project and its click log are read as a whole, which keeps the interpreter busy for seconds
    where they are long: all changes that wait are taken at once, and then there is a rest.

    Args:
        review: makes the review of a project.
    """

    def __init__(self, store: OptionalRedis, review: Callable[[int], ProjectReview]) -> None:
        self._store, self._review = store, review
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="quality")
        self._waiting: dict[int, _Changes] = {}
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._due = 0.0

    def put(self, action: str, body: dict[str, Any]) -> None:
        """Take a webhook's body; return at once and never fail."""
        project = project_number(body.get("project"))
        if action not in ACTIONS or project is None:
            return
        annotation = body.get("annotation")
        changed = annotation if isinstance(annotation, list) else [annotation]
        with self._lock:
            idle = project not in self._waiting
            changes = self._waiting.setdefault(project, _Changes())
            changes.tasks.update(_values(changed, "task"))
            changes.annotations.update(_values(body.get("annotations"), "id"))
            changes.gone.update(_values(body.get("tasks"), "id"))
        if idle:
            self._pool.submit(self._update, project)

    def stop(self) -> None:
        """Drop what has not begun; the next review makes up for it."""
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _update(self, project: int) -> None:
        if self._stopped.wait(max(self._due - time.monotonic(), 0.0)):
            return
        with self._lock:
            changes = self._waiting.pop(project)
        begin = time.monotonic()
        if self._store.attempt(lambda client: published(client, project), False):
            self._rate(project, changes)
        end = time.monotonic()
        self._due = end + (end - begin) / SHARE

    def _rate(self, project: int, changes: _Changes) -> None:
        tasks = sorted(changes.tasks)
        try:
            client = self._store.client()
            if changes.gone:
                forget_tasks(client, project, changes.gone)
            if changes.annotations:
                tasks = sorted(changes.tasks | tasks_of(client, project, changes.annotations))
            for start in range(0, len(tasks), BATCH):
                if not self._stopped.is_set():
                    self._review(project).rank(tasks[start : start + BATCH]).publish(client)
        except (ClickmaskError, redis.RedisError) as error:
            named = ", ".join(map(str, tasks[:NAMED])) + (", ..." if len(tasks) > NAMED else "")
            logger.warning("project %s: the quality of tasks %s is not updated: %s", project, named, error)


def _values(listed: Any, key: str) -> list[int]:
    """Return a whole number out of every object of a list; what has none is left out."""
    found = [entry.get(key) for entry in elements(listed) if isinstance(entry, dict)]
    return [number for number in found if isinstance(number, int) and not isinstance(number, bool)]
