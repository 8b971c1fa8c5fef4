"""Reaches Redis: optional, connected on first use, and never in the way of a click.

Every call has a short timeout, and after a failure Redis is left alone for some seconds, so that a dead or slow
server costs one short wait now and then instead of one per request.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

# What the backend keeps in Redis; the ledger, jobs and locks of fine-tuning have keys of their own.
MAPS = "clickmask:session:"  # probability maps: "<computed how>:<name of the map>" -> bytes
LAST_OBJECTS = "clickmask:recent:"  # the object an annotator worked on last -> JSON
HABITS = "clickmask:habits:"  # what annotators did last, by project and by task -> JSON
PROPOSALS = "clickmask:proposals:"  # predictions of tasks that nobody has clicked -> JSON
CLICKS = "clickmask:trace:"  # "<project>" -> stream of click events
RECONCILIATION = "clickmask:reconciliation:"  # when and at which state projects were compared last
OBJECT_CLICKS = "clickmask:object-clicks:"  # "<project>" -> hash annotation -> version -> objects, clicks
QUALITY = "clickmask:quality:"  # "<project>" -> hash "<annotation>/<region>" -> task, annotator, iou

TIMEOUT_S = 0.25
PAUSE_S = 5.0
BACKLOG = 64
ROOM_S = 1.0  # for which it is believed that Redis has room

KEPT = 1000  # records of a kind in memory

T = TypeVar("T")


class Dated(Protocol):
    """A record that says when it was made."""

    @property
    def at(self) -> float:
        """Seconds since the epoch."""


Record = TypeVar("Record", bound=Dated)


def _half_full(client: Any) -> bool:
    """Tell whether Redis has used half of what it may, or of the machine's memory where nothing is said.

    The other half is for what must not be lost. Who may not ask (ACL) is told that there is room.
    """
    try:
        memory = client.info("memory")
    except redis.ResponseError:
        return False
    limit = int(memory.get("maxmemory") or memory.get("total_system_memory") or 0)
    return 0 < limit < 2 * int(memory["used_memory"])


class OptionalRedis:
    """Talks to a Redis that may be missing.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` address; None for no Redis at all.
    """

    def __init__(self, url: str | None, timeout_s: float = TIMEOUT_S, pause_s: float = PAUSE_S) -> None:
        self._client: Any = None
        if url is not None:
            # No connection is opened here: the first command does it, and again after a loss.
            self._client = redis.Redis.from_url(
                url,
                health_check_interval=30,
                retry=Retry(NoBackoff(), 0),  # newer clients would try again for seconds
            )
            # Given to from_url, these would give way to those in the address, for which no click can wait.
            self._client.connection_pool.connection_kwargs.update(
                socket_timeout=timeout_s, socket_connect_timeout=timeout_s
            )
        self._pause_s = pause_s
        self._silent_until = self._complained_until = self._room_until = 0.0
        self._room = True
        self._lock = threading.Lock()
        self._backlog: queue.Queue[Callable[[Any], Any] | None] = queue.Queue(BACKLOG)
        self._writer: threading.Thread | None = None

    def attempt(self, command: Callable[[Any], T], default: T) -> T:
        """Return ``command(client)``, or ``default`` where Redis is absent, failing, or failed a moment ago."""
        if self._client is None or time.monotonic() < self._silent_until:
            return default
        try:
            return command(self._client)
        except (redis.ResponseError, UnicodeError) as error:
            # It answers: full, read-only, or a key of another kind; or text that cannot be sent, or a host that
            # cannot be looked up. The next command may well succeed.
            self._complain(error)
            self.leave_replica(error)
            return default
        except redis.RedisError as error:
            self._rest(error)
            return default

    def write_behind(self, command: Callable[[Any], Any]) -> None:
        """Run ``command(client)`` in the background; for cache entries: one that does not fit or fails is lost."""
        if self._client is None:
            return
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="redis-writer", daemon=True)
                self._writer.start()
        try:
            self._backlog.put_nowait(command)
        except queue.Full:
            logger.debug("Redis is slower than the clicks; a cache entry is left out")

    def cache_behind(self, command: Callable[[Any], Any]) -> None:
        """As `write_behind`, for what can be computed again: left out where Redis has used half of its memory."""
        self.write_behind(lambda client: command(client) if self._has_room(client) else None)

    def _has_room(self, client: Any) -> bool:
        """Ask now and then whether caches may grow; called by the writer alone."""
        now = time.monotonic()
        if now >= self._room_until:
            self._room, self._room_until = not _half_full(client), now + ROOM_S
        return self._room

    def flush(self) -> None:
        """Wait until everything given to `write_behind` was tried."""
        self._backlog.join()

    def close(self, timeout_s: float = 2.0) -> None:
        """End the writer, after what waits for it if that takes little time.

        It is waited for: an interpreter that ends while a daemon thread is inside native code (a command may
        encode an image) aborts.
        """
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(queue.Full):
                self._backlog.put(None, timeout=timeout_s)
            writer.join(timeout_s)

    def client(self) -> Any:
        """Return the raw client, for callers that handle `redis.RedisError`; None without Redis."""
        return self._client

    def leave_replica(self, error: redis.RedisError | UnicodeError) -> None:
        """Connect anew where an error tells that the connections lead to a copy of another Redis.

        A primary that becomes a copy keeps its connections: only new ones find the one that took its name over.
        """
        # Of a script, Redis 6 says it within a longer sentence.
        if isinstance(error, redis.ReadOnlyError) or "READONLY" in str(error):
            self._client.connection_pool.disconnect(inuse_connections=False)

    def state(self) -> str:
        """Say in a word how Redis is, asking it now: ``absent``, ``up`` or ``down``."""
        if self._client is None:
            return "absent"
        try:
            self._client.ping()
        except (redis.RedisError, UnicodeError):
            return "down"
        self._silent_until = 0.0
        return "up"

    def _write(self) -> None:
        while True:
            command = self._backlog.get()
            try:
                if command is None:
                    return
                self.attempt(command, None)
            except Exception:  # all writers share this thread: one that fails must not end it
                logger.exception("an entry for Redis cannot be written")
            finally:
                self._backlog.task_done()

    def _complain(self, error: Exception) -> None:
        with self._lock:
            first = time.monotonic() >= self._complained_until
            self._complained_until = time.monotonic() + self._pause_s
        if first:
            logger.warning("Redis refuses a command, which is left out: %s", error)

    def _rest(self, error: Exception) -> None:
        with self._lock:
            first = time.monotonic() >= self._silent_until
            self._silent_until = time.monotonic() + self._pause_s
        if first:
            logger.warning("Redis does not answer (%s); going on without it for %.0f s", error, self._pause_s)


class SharedRecords(Generic[Record]):
    """Keeps small records by key: the latest in this process, and all of them in Redis for the other ones.

    Args:
        store: the Redis, if there is one.
        prefix: of the keys in Redis.
        parse: reads a record from what Redis holds, see `readable`.
        ttl_s: seconds after which Redis forgets a record.
    """

    def __init__(
        self, store: OptionalRedis, prefix: str, parse: Callable[[bytes], Record], ttl_s: int
    ) -> None:
        self._store, self._prefix, self._parse, self._ttl_s = store, prefix, parse, ttl_s
        self._kept: OrderedDict[str, Record] = OrderedDict()
        self._lock = threading.Lock()

    def newest(self, keys: Sequence[str]) -> Record | None:
        """Return the newest record under some keys; None where there is none."""
        nothing: list[bytes | None] = []
        names = [self._prefix + key for key in keys]
        texts = self._store.attempt(lambda client: client.mget(names), nothing)
        with self._lock:
            found = [self._kept[key] for key in keys if key in self._kept]
        found += readable(filter(None, texts), self._parse)
        return max(found, key=lambda record: record.at, default=None)

    def put(self, key: str, record: Record, text: str) -> None:
        """Keep a record; ``text`` is what Redis holds of it."""
        with self._lock:
            self._kept[key] = record
            self._kept.move_to_end(key)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._store.write_behind(lambda client: client.set(self._prefix + key, text, ex=self._ttl_s))


def readable(texts: Iterable[bytes], parse: Callable[[bytes], T]) -> list[T]:
    """Parse what Redis holds; what ``parse`` stumbles over is left out, with a warning in the log."""
    found = []
    for text in texts:
        try:
            found.append(parse(text))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            logger.warning("a record in Redis is left out: it cannot be read (%r)", error)
    return found
