"""Updates the published quality of a task when its annotations change, behind the webhook."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis

from backend.json_fields import elements, project_number
from backend.redis_store import OptionalRedis
from backend.review.project_review import ProjectReview, forget_tasks, published, tasks_of
from model.errors import ClickmaskError

logger = logging.getLogger(__name__)

ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
)


class ReviewUpdater:
    """Rates a task again when its annotations change, in projects that `clickmask review --apply` was used for.

    Args:
        review: makes the review of a project.
    """

    def __init__(self, store: OptionalRedis, review: Callable[[int], ProjectReview]) -> None:
        self._store, self._review = store, review
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="quality")
        self._waiting: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

    def put(self, action: str, body: dict[str, Any]) -> None:
        """Take a webhook's body; return at once and never fail."""
        project = project_number(body.get("project"))
        if action not in ACTIONS or project is None:
            return
        if action == "TASKS_DELETED":
            gone = set(_values(body.get("tasks"), "id"))
            self._pool.submit(self._store.attempt, lambda client: forget_tasks(client, project, gone), None)
            return
        annotation = body.get("annotation")
        changed = _values(annotation if isinstance(annotation, list) else [annotation], "task")
        self._pool.submit(self._find, project, set(changed), _values(body.get("annotations"), "id"))

    def stop(self) -> None:
        """Drop what has not begun; the next review makes up for it."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _find(self, project: int, changed: set[int], deleted: list[int]) -> None:
        nothing: set[int] = set()
        tasks = self._store.attempt(lambda client: _affected(client, project, changed, deleted), nothing)
        for number in tasks:
            with self._lock:
                if (project, number) in self._waiting:
                    continue
                self._waiting.add((project, number))
            self._pool.submit(self._rate, project, number)

    def _rate(self, project: int, task: int) -> None:
        with self._lock:
            self._waiting.discard((project, task))
        try:
            self._review(project).rank(task).publish(self._store.client())
        except (ClickmaskError, redis.RedisError) as error:
            logger.warning("project %s: the quality of task %s is not updated: %s", project, task, error)


def _affected(client: Any, project: int, changed: set[int], deleted: list[int]) -> set[int]:
    if not published(client, project):
        return set()
    return changed | tasks_of(client, project, deleted)


def _values(listed: Any, key: str) -> list[int]:
    """Return a whole number out of every object of a list; what has none is left out."""
    found = [entry.get(key) for entry in elements(listed) if isinstance(entry, dict)]
    return [number for number in found if isinstance(number, int) and not isinstance(number, bool)]
