"""Bounds the work: so many predictions at once, so many waiting, and no annotator waits for ever."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from model.errors import ClickmaskError

T = TypeVar("T")


class Overloaded(ClickmaskError, RuntimeError):
    """Refuses a prediction: all slots and all places in the queue are taken."""


class DeadlineExceeded(ClickmaskError, RuntimeError):
    """Tells that the deadline has passed; a pass that has begun goes on, so that its result is cached next time."""


class AdmissionControl:
    """Runs calls in a thread pool, and refuses what it cannot do soon.

    Args:
        count: calls that run at once.
        queue: calls that may wait.
        changed: told how many run and how many wait, whenever that changes.
    """

    def __init__(
        self, count: int, queue: int, changed: Callable[[int, int], None] = lambda running, waiting: None
    ) -> None:
        self._changed = changed
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="slot")
        self._limit = count + queue
        self._count = count
        self._taken = 0
        self._lock = threading.Lock()

    def run(self, work: Callable[[], T], deadline_s: float, spent_s: float = 0.0) -> T:
        """Return ``work()``; its errors pass through.

        Args:
            spent_s: so much of the deadline is over already.

        Raises:
            Overloaded: at once, where there is no place.
            DeadlineExceeded: after ``deadline_s``.
        """
        with self._lock:
            if self._taken >= self._limit:
                raise Overloaded(f"{self._taken} predictions are running or waiting")
            self._take(1)
        context = contextvars.copy_context()  # carries the request id into the log lines of the slot
        future = self._pool.submit(context.run, work)
        future.add_done_callback(lambda _: self._leave())
        try:
            return future.result(max(deadline_s - spent_s, 0.0))
        except FutureTimeout:
            if future.done():
                raise  # the work's own timeout, not ours
            future.cancel()
            raise DeadlineExceeded(f"no answer within {deadline_s:g} s") from None

    def load(self) -> tuple[int, int]:
        """Return how many calls run and how many wait."""
        taken = self._taken
        return min(taken, self._count), max(taken - self._count, 0)

    def _leave(self) -> None:
        with self._lock:
            self._take(-1)

    def _take(self, places: int) -> None:
        self._taken += places
        self._changed(*self.load())
