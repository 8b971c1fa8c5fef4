"""Runs a server of the benchmark's own: gunicorn as the settings say, a Redis, and pictures to click on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from backend.operations.bench.image_server import ImageServer
from backend.operations.embedded_redis import EmbeddedRedis
from backend.operations.stack import wait_until_ready
from backend.operations.supervisor import Supervisor, free_port
from backend.settings import Settings


@contextmanager
def serving(settings: Settings, images: ImageServer) -> Iterator[str]:
    """Run `clickmask serve` while the context lasts; yields its address.

    Raises:
        StackError, ChildEnded: it does not get ready.
    """
    with (
        tempfile.TemporaryDirectory(prefix="clickmask-bench-") as folder,
        EmbeddedRedis(Path(folder)) as redis_url,
        Supervisor() as children,
    ):
        own = replace(
            settings, host="127.0.0.1", port=free_port(), redis_url=redis_url, label_studio_url=images.url
        )
        children.start("the web server", ["serve"], own.to_env(), Path(folder) / "serve.log")
        wait_until_ready(children.check, own.own_url, time.sleep)
        yield own.own_url
