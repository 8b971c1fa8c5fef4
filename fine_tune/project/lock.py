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


class ProjectLock:
    """A lock that is held, and kept alive by a thread; see `project_lock`."""

    def __init__(self, lock: Any, project: int, life_s: float) -> None:
        self._lock, self._project, self._life_s = lock, project, life_s
        self._over, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="fine-tune-heartbeat", daemon=True)

    def check(self) -> None:
        """Notice that the lock was lost: it ran out while Redis was away, and another process took it first.

        Raises:
            ProjectLocked: it was.
        """
        if self._lost.is_set():
            raise ProjectLocked(
                f"project {self._project} is being fine-tuned by another worker, which took over while Redis was away"
            )

    def start(self) -> None:
        """Begin to keep the lock alive."""
        self._thread.start()

    def release(self) -> None:
        """Give the lock back."""
        self._over.set()
        self._thread.join(self._life_s)
        with suppress(redis.RedisError, redis.exceptions.LockError):  # it runs out by itself
            self._lock.release()

    def _beat(self) -> None:
        while not self._over.wait(self._life_s / 3) and not self._lost.is_set():
            with suppress(redis.RedisError):  # Redis is away; it is asked again
                self._renew()

    def _renew(self) -> None:
        try:
            self._lock.reacquire()
        except redis.exceptions.LockError:  # it ran out while Redis was away
            if not self._lock.acquire(blocking=False):
                self._lost.set()


@contextmanager
def project_lock(client: Any, project: int, life_s: float = LIFE_S) -> Iterator[ProjectLock]:
    """Hold the project for as long as the context and this process live.

    A Redis that goes away and comes back meanwhile does no harm: the lock is taken again as soon as it answers. Only
    if another process was faster, it is lost, which `ProjectLock.check` tells.

    Raises:
        ProjectLocked: another process has it.
    """
    lock = client.lock(keys.lock(project), timeout=life_s, thread_local=False)
    if not lock.acquire(blocking=False):
        raise ProjectLocked(f"project {project} is being fine-tuned by another worker")
    holder = ProjectLock(lock, project, life_s)
    holder.start()
    try:
        yield holder
    finally:
        holder.release()


def held(client: Any, project: int) -> bool:
    """Tell whether some process fine-tunes the project now."""
    return bool(client.exists(keys.lock(project)))
