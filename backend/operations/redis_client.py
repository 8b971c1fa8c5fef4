"""The installation's Redis, for commands: the one that the settings name, else the one that `clickmask up` runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.exceptions import ClusterCrossSlotError as CrossSlot

from backend.operations.embedded_redis import EmbeddedRedis
from backend.settings import Settings
from backend.settings.masking import without_password
from model.errors import ClickmaskError

TIMEOUT_S = 30.0


class RedisUnreachable(ClickmaskError, RuntimeError):
    """No Redis answers; the message says at which address, and what to start or set."""


def redis_url(settings: Settings) -> str:
    """Return the address of the installation's Redis, whether it runs or not."""
    return settings.redis_url or EmbeddedRedis(settings.home).url


@contextmanager
def connected(settings: Settings, timeout_s: float = TIMEOUT_S) -> Iterator[Any]:
    """Connect to the installation's Redis, and check that it answers.

    Args:
        timeout_s: for connecting and for every command.

    Yields:
        A `redis.Redis` client.

    Raises:
        RedisUnreachable: it does not answer or refuses a command, at first or later within the context.
    """
    url = redis_url(settings)
    client = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
    try:
        client.exists("clickmask:1", "clickmask:2")  # what a cluster refuses, as keys that belong together
        yield client
    except redis.RedisError as error:
        raise RedisUnreachable(_advice(url, error, settings.redis_url is None)) from error
    finally:
        client.close()


def _advice(url: str, error: redis.RedisError, embedded: bool) -> str:
    shown = without_password(url)
    if embedded:
        fix = "start `clickmask up`, or set CLICKMASK_REDIS_URL to the one in use"
        return f"no Redis answers at {shown} ({error}): {fix}"
    if isinstance(error, redis.AuthenticationError):
        return f"Redis at {shown} refuses the password ({error}): correct CLICKMASK_REDIS_URL"
    if isinstance(error, CrossSlot):
        fix = "clickmask uses several keys together: set CLICKMASK_REDIS_URL to one without cluster mode"
        return f"Redis at {shown} is a cluster ({error}): {fix}"
    if isinstance(error, redis.ResponseError):
        fix = "look at its memory, its disk and its rights, or set CLICKMASK_REDIS_URL to another one"
        return f"Redis at {shown} refuses what it is asked ({error}): {fix}"
    return f"Redis at {shown} does not answer ({error}): start it, or correct CLICKMASK_REDIS_URL"
