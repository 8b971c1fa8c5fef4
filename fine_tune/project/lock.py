"""The lock of a project: only one process fine-tunes it at a time, and a dead one gives way by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis

from fine_tune.project import keys
from model.errors import ClickmaskError

LIFE_S = 30.0  # a killed process blocks its project for so long at most


class ProjectLocked(ClickmaskError, RuntimeError):
    """Another process fine-tunes the project."""


@contextmanager
def project_lock(client: Any, project: int, life_s: float = LIFE_S) -> Iterator[None]:
    """Hold the project for as long as the context and this process live.

    A Redis that goes away and comes back meanwhile does no harm: the lock is taken again as soon as it answers.

    Raises:
        ProjectLocked: another process has it.
    """
    lock = client.lock(keys.lock(project), timeout=life_s, thread_local=False)
    if not lock.acquire(blocking=False):
        raise ProjectLocked(f"project {project} is being fine-tuned by another worker")
    over = threading.Event()

    def beat() -> None:
        while not over.wait(life_s / 3):
            try:
                lock.reacquire()
            except redis.exceptions.LockError:  # it ran out while Redis was away
                lock.acquire(blocking=False)
            except redis.RedisError:
                continue

    thread = threading.Thread(target=beat, name="fine-tune-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(life_s)
        with suppress(redis.RedisError, redis.exceptions.LockError):  # it runs out by itself
            lock.release()


def held(client: Any, project: int) -> bool:
    """Tell whether some process fine-tunes the project now."""
    return bool(client.exists(keys.lock(project)))
