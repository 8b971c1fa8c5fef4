"""Waiting for what happens in other threads and processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

PATIENCE_S = 500.0  # less than a test has; on a busy machine a process may need a minute to start


def until(
    what: str,
    condition: Callable[[], Any],
    patience_s: float = PATIENCE_S,
    pause_s: float = 0.02,
    logs: Callable[[], str] = str,
) -> Any:
    """Wait until the condition is true, and return its value.

    Args:
        what: it is waited for, in words.
        logs: gives what else to say where it never comes.
    """
    end = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} never came\n{logs()}"
        time.sleep(pause_s)
    return value


def until_ready(url: str) -> None:
    """Wait until a backend is ready to answer clicks."""

    def ready() -> bool:
        try:
            return requests.get(f"{url}/ready", timeout=60).ok
        except requests.ConnectionError:
            return False

    until("a backend that is ready", ready, pause_s=0.1)
