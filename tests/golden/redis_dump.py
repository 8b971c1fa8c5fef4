"""The keys of a Redis as readable JSON, and back."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

LAST_OBJECTS = "clickmask:recent:"  # whose entries are of use for some seconds


def dump(client: Any) -> dict[str, Any]:
    """All keys with type, seconds to live and value; bytes that are no text become {"base64": ...}."""
    keys = {}
    for key in sorted(client.scan_iter(count=1000)):
        kind = client.type(key).decode()
        entry = {"type": kind, "value": _read(client, kind, key)}
        if client.ttl(key) > 0:
            entry["ttl"] = client.ttl(key)
        keys[key.decode()] = entry
    return {"at": time.time(), "keys": keys}


def restore(client: Any, saved: dict[str, Any]) -> None:
    """Write what `dump` gave, as if it had been dumped just now."""
    passed = time.time() - saved["at"]
    for key, entry in saved["keys"].items():
        _write(client, entry["type"], key, _later(key, entry["type"], entry["value"], passed))
        if "ttl" in entry:
            client.expire(key, entry["ttl"])


def _read(client: Any, kind: str, key: bytes) -> Any:
    if kind == "string":
        return _text(client.get(key))
    if kind == "hash":
        return {name.decode(): _text(value) for name, value in sorted(client.hgetall(key).items())}
    if kind == "list":
        return [_text(value) for value in client.lrange(key, 0, -1)]
    if kind == "set":
        return sorted(value.decode() for value in client.smembers(key))
    if kind == "zset":
        return {name.decode(): score for name, score in client.zrange(key, 0, -1, withscores=True)}
    if kind == "stream":
        return [[number.decode(), _fields(fields)] for number, fields in client.xrange(key)]
    raise ValueError(f"{key!r} is a {kind}")


def _write(client: Any, kind: str, key: str, value: Any) -> None:
    if kind == "string":
        client.set(key, _bytes(value))
    elif kind == "hash":
        client.hset(key, mapping={name: _bytes(entry) for name, entry in value.items()})
    elif kind == "list":
        client.rpush(key, *map(_bytes, value))
    elif kind == "set":
        client.sadd(key, *value)
    elif kind == "zset":
        client.zadd(key, value)
    else:
        for number, fields in value:
            client.xadd(key, {name: _bytes(entry) for name, entry in fields.items()}, id=number)


def _later(key: str, kind: str, value: Any, passed: float) -> Any:
    """Move what counts from now on: expiry times of jobs, and when an object was answered."""
    if kind == "zset":
        return {name: score + passed for name, score in value.items()}
    if key.startswith(LAST_OBJECTS):
        entry = json.loads(value)
        return json.dumps({**entry, "at": entry["at"] + passed})
    return value


def _fields(fields: dict[bytes, bytes]) -> dict[str, Any]:
    return {name.decode(): _text(value) for name, value in fields.items()}


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()
