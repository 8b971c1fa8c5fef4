"""Runs the processes of one installation together: Redis, the web server and a worker."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from backend.label_studio.transport import ask
from backend.operations.embedded_redis import EmbeddedRedis
from backend.operations.supervisor import Supervisor
from backend.settings import Settings
from backend.web.server import check_place
from model.errors import ClickmaskError

READY_LIMIT_S = 300.0  # a first start converts the model
POLL_S = 0.25


class StackError(ClickmaskError, RuntimeError):
    """The processes cannot run together as they are set up; the message says what to change."""


@contextmanager
def running(settings: Settings, logs: Path | None = None) -> Iterator[tuple[Supervisor, Settings]]:
    """Start Redis (unless one is given), the web server and a worker; all of them end with the context.

    Args:
        logs: folder for their output; None for this process's own.

    Yields:
        The supervisor of the children, and the settings they have.

    Raises:
        PlaceError: the port is taken, or the host is none of this machine.
        EmbeddedRedisError: see there.
    """
    check_place(settings)
    with ExitStack() as stack:
        server = EmbeddedRedis(settings.home) if settings.redis_url is None else None
        if server is not None:
            settings = dataclasses.replace(settings, redis_url=stack.enter_context(server))
        children = stack.enter_context(Supervisor())
        if server is not None:
            children.watch(server.child)
        for name, title in (("serve", "the web server"), ("worker", "the worker")):
            log = None if logs is None else logs / f"{name}.log"
            children.start(title, [name], settings.to_env(), log)
        yield children, settings


def status(url: str) -> dict[str, object] | None:
    """Return what the backend at `url` says of itself at /ready; None where it does not answer yet.

    It runs on this machine: no proxy is asked, whichever of the machine's addresses that is.
    """
    try:
        return dict(ask(f"{url}/ready", timeout=5, proxies={}).json())
    except (requests.RequestException, ValueError):
        return None


def wait_until_ready(
    check: Callable[[], None], url: str, sleep: Callable[[float], None]
) -> dict[str, object]:
    """Wait until the backend at `url` has its model; return its status.

    Args:
        check: raises where waiting is in vain.
        sleep: waits for so many seconds.

    Raises:
        StackError: the model cannot be loaded, or takes too long.
    """
    waited = 0.0
    while waited < READY_LIMIT_S:
        check()
        found = status(url)
        if found is not None and found["ready"]:
            return found
        if found is not None and found["problems"]:
            raise StackError(f"the model cannot be served: {found['reason']}")
        sleep(POLL_S)
        waited += POLL_S
    raise StackError(f"the backend at {url} was not ready within {READY_LIMIT_S:.0f} s: see its log")
