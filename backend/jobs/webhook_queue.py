"""Queues webhook events for the ledger: they are taken at once, written in the background, never lost unseen.

Label Studio waits at most a second for a webhook, inside the annotator's request, and never sends it again. So an
event is only put in line here; a thread writes it as soon as Redis takes it. What cannot be kept is logged with
its annotation, and turns up again when annotations are compared with Label Studio before training.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from contextlib import suppress
from typing import Any

import redis

from backend.jobs import object_clicks
from backend.jobs.project_removal import forget
from backend.json_fields import elements, project_number
from backend.metrics import Metrics
from backend.redis_store import OptionalRedis
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Policy, Scheduler

logger = logging.getLogger(__name__)

BACKLOG = 1000
RETRY_S = 2.0
# What Redis says of a command that fails however often it is tried; Redis 6 puts the place in the script before it.
NEVER = re.compile(r"(.*@user_script:\d+: )?(WRONGTYPE|user_script)")
ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",  # from predictions, many at once
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
    "PROJECT_DELETED",  # only to webhooks of the whole organization; a comparison finds it otherwise
    "REVIEW_CREATED",
    "REVIEW_UPDATED",
    "START_TRAINING",
)


class WebhookQueue:
    """Queues the events of one process.

    Args:
        store: the Redis; without one, every event is lost, and logged.
        retry_s: pause between two tries while Redis does not answer, seconds.
        policy: when to train.
    """

    def __init__(
        self, store: OptionalRedis, metrics: Metrics, retry_s: float = RETRY_S, policy: Policy | None = None
    ) -> None:
        self._store, self._client, self._policy = store, store.client(), policy
        self._metrics, self._retry_s = metrics, retry_s
        self._line: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue(BACKLOG)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="webhook-events", daemon=True)
        self._thread.start()

    def put(self, action: str, body: dict[str, Any]) -> bool:
        """Take an event; return at once. False where it cannot be kept, which is logged."""
        outcome = "lost"
        if self._client is None:
            logger.error(
                "%s is lost: no Redis is configured, set CLICKMASK_REDIS_URL", describe(action, body)
            )
        else:
            try:
                self._line.put_nowait((action, without_masks(body)))
                outcome = "taken"
            except queue.Full:
                logger.error("%s is lost: %d events wait for Redis", describe(action, body), BACKLOG)
        # A name that anybody may send is no label: each would be kept for ever.
        self._metrics.events.labels(action if action in ACTIONS else "other", outcome).inc()
        return outcome == "taken"

    def flush(self) -> None:
        """Wait until every event was written or given up."""
        self._line.join()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Write what is left, for a while, and log what could not be written."""
        self._stopped.set()
        with suppress(queue.Full):
            self._line.put(("", {}), timeout=timeout_s)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            action, body = self._line.get()
            try:
                if action:
                    self._write(action, body)
            finally:
                self._line.task_done()
            if self._stopped.is_set() and self._line.empty():
                return

    def _write(self, action: str, body: dict[str, Any]) -> None:
        failed = False
        while True:
            try:
                write_event(self._client, self._policy, action, body)
            except (ValueError, redis.DataError) as error:
                logger.error("%s is left out: %s", describe(action, body), error)
                return
            except redis.RedisError as error:
                if NEVER.match(str(error)):
                    logger.error("%s is left out: %s", describe(action, body), error)
                    return
                if self._stopped.is_set():
                    logger.error("%s is lost at shutdown: %s", describe(action, body), error)
                    return
                if not failed:
                    logger.warning("%s waits for Redis: %s", describe(action, body), error)
                failed = True
                self._store.leave_replica(error)
                time.sleep(self._retry_s)
            except Exception as error:  # all events share this thread: one that is odd must not end it
                logger.error("%s is left out: %s", describe(action, body), type(error).__name__)
                return
            else:
                return


def write_event(client: Any, policy: Policy | None, action: str, body: dict[str, Any]) -> int:
    """Write an event into its project's records, and queue a job if it gives reason to.

    Args:
        client: a `redis.Redis` client. Its errors pass through.
        policy: when to train.
        action, body: of a webhook, the latter as `without_masks` makes it.

    Returns:
        What `Ledger.record` does.

    Raises:
        ValueError: the body lacks what its action needs.
    """
    project = project_number(body.get("project"))
    if action == "PROJECT_DELETED" and project is not None:
        forget(client, project)
        return 0
    recorded = Ledger(client).record(action, body)
    if project is not None:
        annotation = body.get("annotation")
        made = annotation if isinstance(annotation, list) else [annotation]
        object_clicks.note(client, project, made)
        object_clicks.forget(client, project, elements(body.get("annotations")))
    Scheduler(client, policy).consider(action, body)
    return recorded


def describe(action: str, body: dict[str, Any]) -> str:
    """Name an event, without anything secret."""
    annotation, project = body.get("annotation"), body.get("project")
    parts = [action]
    for entry in annotation[:3] if isinstance(annotation, list) else [annotation]:
        if isinstance(entry, dict):
            parts.append(f"annotation {entry.get('id')} of task {entry.get('task')}")
    if isinstance(project, dict):
        parts.append(f"project {project.get('id')}")
    return ", ".join(parts)


def without_masks(body: dict[str, Any]) -> dict[str, Any]:
    """Return what of a webhook's body is kept, so that a long line does not hold thousands of masks."""
    kept, annotation = dict(body), body.get("annotation")
    if isinstance(annotation, list):
        kept["annotation"] = [object_clicks.without_result(entry) for entry in annotation]
    elif isinstance(annotation, dict):
        kept["annotation"] = object_clicks.without_result(annotation)
    number = project_number(body.get("project"))
    if number is not None:
        kept["project"] = {"id": number}
    kept.pop("task", None)
    return kept
