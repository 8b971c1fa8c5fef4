"""Real redis-servers on Unix sockets, which a test can stop and start again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import redis

from backend.operations.embedded_redis import find_server
from tests.waiting import until


class RedisServer:
    """The server that `clickmask up` would run.

    Args:
        folder: with a short path.
        options: further ones; what it holds is lost at its end without `--appendonly yes`.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._options = options
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def answers(self) -> bool:
        """Tell whether it runs."""
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [find_server()[0], "--port", "0", "--unixsocket", str(self._socket)]
        self._process = subprocess.Popen(
            [*command, "--save", "", "--dir", str(self._socket.parent), *self._options],
            stdout=subprocess.DEVNULL,
        )
        until("redis-server", self.answers)

    def stop(self) -> None:
        """Stop it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)

    def demote(self) -> None:
        """Make it a copy of a Redis that is not there; its connections stay."""
        self.client().execute_command("REPLICAOF", "127.0.0.1", "1")

    def client(self) -> redis.Redis:
        """Return a client of its own."""
        return redis.Redis.from_url(self.url, socket_timeout=60)


class Failover:
    """Two servers under one name, which leads to the second one after the first has become a copy.

    Args:
        folder: with a short path.
    """

    def __init__(self, folder: Path) -> None:
        self._name = folder / "name.sock"
        self.url = f"unix://{self._name}"
        places = folder / "a", folder / "b"
        for place in places:
            place.mkdir()
        self._servers = [RedisServer(place) for place in places]

    def start(self) -> None:
        """Start both."""
        for server in self._servers:
            server.start()
        self._lead_to(self._servers[0])

    def happen(self) -> None:
        """Let the second server take over, empty."""
        self._servers[0].demote()
        self._lead_to(self._servers[1])

    def stop(self) -> None:
        """Stop both at once."""
        for server in self._servers:
            server.stop()

    def client(self) -> redis.Redis:
        """Return a client of the server that the name leads to now."""
        return redis.Redis.from_url(self.url, socket_timeout=60)

    def _lead_to(self, server: RedisServer) -> None:
        self._name.unlink(missing_ok=True)
        self._name.symlink_to(server.url.removeprefix("unix://"))
