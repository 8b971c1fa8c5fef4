"""Runs the web server: gunicorn with threads, configured from the settings.

No preload: the model, and CUDA with it, belongs to the worker process that uses it. The timeout finds dead workers;
slow requests are ended by the service's own deadline.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from gunicorn.app.base import BaseApplication

from backend.settings import Settings


def options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings."""
    return {
        "bind": settings.bind,
        "workers": settings.workers,
        "threads": settings.web_threads,
        "worker_class": "gthread",
        "timeout": 120,
        "graceful_timeout": 30,
        # Label Studio opens a connection for each call; a load balancer in between keeps them.
        "keepalive": 5,
        # Worker heartbeats go through a file: a slow disk must not look like a dead worker.
        "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
        # Nobody asks through it, and it would want a home folder that can be written.
        "control_socket_disable": True,
        "proc_name": "clickmask",
        "loglevel": "warning" if settings.log_level == "info" else settings.log_level,
        "child_exit": _child_exit,
        "worker_exit": _worker_exit,
        "on_exit": _on_exit,
    }


def run(settings: Settings) -> None:
    """Serve until a signal ends it: SIGTERM after the requests in flight, SIGINT at once."""
    # prometheus_client looks at this when it is imported, which only the workers do.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="clickmask-metrics-")
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
        return create_app(self._settings)


def _worker_exit(server: Any, worker: Any) -> None:
    """Write what waits for Redis and end the worker's threads."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["clickmask"].close()


def _child_exit(server: Any, worker: Any) -> None:
    """Take the gauges of a worker that is gone out of the sum."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def _on_exit(server: Any) -> None:
    shutil.rmtree(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""), ignore_errors=True)
