"""Forgets a project that Label Studio no longer has: its records, its waiting job, its annotators' habits, and more.

Its model versions stay in the registry, where `clickmask models` shows them.
"""

from __future__ import annotations

from typing import Any

from backend.label_studio.task_states import TaskStates
from backend.redis_store import CLICKS, HABITS, LAST_OBJECTS, OBJECT_CLICKS, QUALITY
from fine_tune.project import keys
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Scheduler

SCANNED = 1000  # keys that one command looks at: Redis answers others in between


def forget(client: Any, project: int) -> None:
    """Forget a project.

    Args:
        client: a `redis.Redis` client. Its errors pass through.
    """
    waiting = Scheduler(client).waiting(project)
    if waiting is not None:
        waiting.cancel()
    client.delete(
        keys.latest(project),
        keys.ended(project),
        keys.failures(project),
        keys.outcomes(project),
        f"{QUALITY}{project}",
        f"{CLICKS}{project}",
        f"{OBJECT_CLICKS}{project}",
        f"{HABITS}{project}",
    )
    for prefix in (HABITS, LAST_OBJECTS):  # of single tasks
        for key in client.scan_iter(f"{prefix}\\[{project}, *", count=SCANNED):
            client.delete(key)
    TaskStates(client, project).forget()
    Ledger(client).forget_project(project)  # last: a try that was cut short is made again
