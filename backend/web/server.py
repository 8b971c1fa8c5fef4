"""Runs the web server: gunicorn with threads, configured from the settings.

No preload: the model, and CUDA with it, belongs to the worker process that uses it. The timeout finds dead workers;
slow requests are ended by the service's own deadline.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from backend.settings import Settings
from model.errors import ClickmaskError

MOST_CONNECTIONS = 1000
SHARED_MEMORY = "/dev/shm"  # a disk that is slow or full is nothing to it


def options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings."""
    return {
        "bind": settings.bind,
        "workers": settings.workers,
        "threads": settings.web_threads,
        "worker_class": "gthread",
        "worker_connections": _connections(),
        "timeout": 120,
        "graceful_timeout": 30,
        # Label Studio opens a connection for each call; a load balancer in between keeps them.
        "keepalive": 5,
        # Worker heartbeats go through a file: a slow disk must not look like a dead worker.
        "worker_tmp_dir": _shared_memory(),
        # Nobody asks through it, and it would want a home folder that can be written.
        "control_socket_disable": True,
        "proc_name": "clickmask",
        "loglevel": "warning" if settings.log_level == "info" else settings.log_level,
        "child_exit": _child_exit,
        "worker_exit": _worker_exit,
        "on_exit": _on_exit,
    }


def _connections() -> int:
    """Return how many connections a process may hold: half of the files it may open, since lacking one ends it."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, files // 2)


def _shared_memory() -> str | None:
    return SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK | os.X_OK) else None


class PlaceError(ClickmaskError, RuntimeError):
    """Nobody can listen where the settings say; the message says which to change."""


def check_place(settings: Settings) -> None:
    """Look whether the server can listen where it is to; `PlaceError` says why not, and gunicorn would try again."""
    if settings.host.startswith("unix:"):
        problem = _taken(Path(settings.host.removeprefix("unix:")))
        if problem:
            raise PlaceError(f"CLICKMASK_HOST is {settings.host!r}: {problem}")
        return
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise PlaceError(_why_not(settings, error)) from None


def _taken(path: Path) -> str:
    """Say why no socket file can be made at a path, "" where it can: gunicorn replaces one that is there."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}, make it first"
    if not os.path.lexists(path):
        return ""
    if not path.is_socket():
        return "that is there and no socket; name another path"
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):  # what a server left that was killed
            return ""
        except OSError as error:  # of another user or kind, or too busy to answer
            return f"a socket is there that may be in use ({error}); name another path"
    return "another program listens there: stop it (an earlier clickmask?) or name another path"


def _why_not(settings: Settings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"another program listens on {settings.bind}: stop it (an earlier clickmask?) or "
            "set CLICKMASK_PORT to another port"
        )
    if error.errno == errno.EACCES:
        return f"this user may not listen on {settings.bind}: set CLICKMASK_PORT to 1024 or more"
    return (
        f"CLICKMASK_HOST is {settings.host!r}, no address of this machine ({error.strerror}): set it to one, to "
        "127.0.0.1 for this machine alone, or to 0.0.0.0 for all of its addresses"
    )


def run(settings: Settings) -> None:
    """Serve until a signal ends it: SIGTERM after the requests in flight, SIGINT at once.

    Raises:
        PlaceError: see `check_place`.
    """
    check_place(settings)
    # prometheus_client looks at this when it is imported, which only the workers do. It maps files of that folder
    # into memory: where there is no room for them, every count would end the process.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if settings.workers > 1:
        folder = tempfile.mkdtemp(prefix="clickmask-metrics-", dir=_shared_memory())
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    _Server(settings).run()


class _Server(BaseApplication):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        from backend.logs import configure
        from backend.web.app import create_app

        configure(self._settings.log_level, self._settings.secrets())
        # Of requests that it cannot read gunicorn shows lines, in which the webhook's secret may be.
        logging.getLogger("gunicorn.error").handlers[:] = logging.getLogger().handlers
        return create_app(self._settings)


def _worker_exit(server: Any, worker: Any) -> None:
    """Write what waits for Redis and end the worker's threads."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["clickmask"].close()


def _child_exit(server: Any, worker: Any) -> None:
    """Take the gauges of a worker that is gone out of the sum."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def _on_exit(server: Any) -> None:
    shutil.rmtree(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""), ignore_errors=True)
