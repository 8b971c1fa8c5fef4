"""Text of one environment variable -> its value. Every parser raises ValueError with what to write instead."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from fsspec import get_filesystem_class

_ENCODE = (
    "a user name or password in an address is percent-encoded: write # as %23, / as %2F, ? as %3F, : as %3A, "
    "[ as %5B, ] as %5D"
)

# What text can say, and what leaves to clickmask how it uses its client.
_REDIS_OPTIONS = (
    "db", "username", "password", "protocol", "client_name", "socket_keepalive", "health_check_interval",
    "max_connections", "socket_timeout", "socket_connect_timeout",
)  # fmt: skip

_SOCKET_PATH = 107  # bytes, on Linux

_IPV6 = r"[0-9a-f]*:[0-9a-f:.]*:[0-9a-f:.]*(?:%\w+)?"
_HOST = re.compile(rf"\*|(?:(?P<name>[\w.-]+)|\[(?P<ipv6>{_IPV6})\])(?P<port>:\d+)?|{_IPV6}")


def url(*schemes: str, account: bool = False) -> Callable[[str], str]:
    """Make a parser of addresses with one of these schemes.

    Args:
        account: may there be a user name and a password in them? They must be percent-encoded.
    """

    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
            _ = parts.port  # a password that is not encoded is often taken for a port
        except ValueError:
            raise ValueError(f"a port is a number up to 65535; {_ENCODE}") from None
        if any(map(str.isspace, text)):
            raise ValueError("there is no space in an address: write it as %20")
        if parts.scheme not in schemes or not (parts.hostname or (parts.scheme == "unix" and parts.path)):
            raise ValueError(f"write a full address starting with {' or '.join(s + '://' for s in schemes)}")
        _looked_up(parts.hostname or "localhost")
        if parts.netloc and "@" in parts.path + parts.query + parts.fragment:
            raise ValueError(_ENCODE)
        if "@" in parts.netloc and not account:
            raise ValueError(
                "leave out user name and password: LABEL_STUDIO_API_KEY opens Label Studio, BASIC_AUTH_USER and "
                "BASIC_AUTH_PASS open the backend"
            )
        if parts.fragment:
            raise ValueError("write # as %23, or leave out what comes after it")
        if parts.query and parts.scheme in ("http", "https"):
            raise ValueError("leave out ? and what comes after it")
        return text.rstrip("/")

    return parse


def redis_url(text: str) -> str:
    """Read the address of a Redis, with no more after the ? than its client knows."""
    address = url("redis", "rediss", "unix", account=True)(text)
    parts = urlsplit(address)
    if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path):
        raise ValueError("the path is the number of a database: write redis://host:6379/0")
    options = {name: given[0] for name, given in parse_qs(parts.query, keep_blank_values=True).items()}
    for name in options:
        if name not in _REDIS_OPTIONS and not re.fullmatch(r"ssl_(?!ocsp_context)\w+", name):
            raise ValueError(f"leave out {name}; after the ? may be {', '.join(_REDIS_OPTIONS)}, ssl_...")
    for name in sorted({"socket_timeout", "socket_connect_timeout"} & options.keys()):
        try:
            number(float, 0.001, 86400)(options[name])
        except ValueError as error:
            raise ValueError(f"correct {name}: {error}") from None
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("ssl_keyfile is the key of a certificate: name that in ssl_certfile")
    try:
        pool = redis.ConnectionPool.from_url(address)
        pool.make_connection()  # which does not connect yet
        ssl.TLSVersion(pool.connection_kwargs.get("ssl_min_version", ssl.TLSVersion.TLSv1_2))
    except (TypeError, ValueError, redis.RedisError) as error:
        raise ValueError(f"leave out of the part after ? what the client does not take ({error})") from None
    return address


def store(text: str) -> str:
    """Read the address of an object store, of a kind that fsspec knows and that is installed."""
    kind, given, place = text.partition("://")
    fix = "write an fsspec URL, such as s3://bucket/clickmask"
    if not given:
        raise ValueError(fix)
    if kind in ("s3", "s3a", "gs", "gcs") and "@" in place:
        raise ValueError(f"a bucket has no account: put it where the client library of {kind} looks; {fix}")
    try:
        get_filesystem_class(kind)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{error}; {fix}") from None
    return text.rstrip("/")


def number(kind: type, low: float, high: float) -> Callable[[str], Any]:
    """Make a parser of numbers in [low, high]; `kind` is int or float."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise ValueError(f"write {'a whole number' if kind is int else 'a number'} from {low} to {high}")
        return value

    return parse


def choice(*names: str) -> Callable[[str], str]:
    """Make a parser of one word out of a few, in lower case."""

    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError(f"write one of {', '.join(names)}")
        return text.lower()

    return parse


def flag(text: str) -> bool:
    """Read 1 or 0; yes, no, true, false, on and off are taken, too."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("write 1 or 0")


def hosts(text: str) -> tuple[str, ...]:
    """Read hosts with commas or spaces between them, each with or without a port, or ``*``; in lower case, ASCII."""
    return tuple(map(_host_and_port, text.lower().replace(",", " ").split()))


def _host_and_port(text: str) -> str:
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError("write host or host:port, without http:// and paths; * stands for every public host")
    name, port = found["name"] or found["ipv6"] or text, found["port"]
    name = _looked_up(name)
    if port is None:
        return name
    return f"[{name}]{port}" if ":" in name else f"{name}{port}"


def _looked_up(name: str) -> str:
    """Return a host name in the ASCII form in which it is looked up."""
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"{name} is no host name: write 1 to 63 letters between two dots") from None


def account(text: str) -> str:
    """Read a user name or password for HTTP basic authentication, which Label Studio sends in Latin-1."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as error:
        odd = text[error.start]
        raise ValueError(
            f"Label Studio cannot send the character U+{ord(odd):04X}: use Latin letters, digits and signs"
        ) from None
    return text


def token(text: str) -> str:
    """Read a token that opens an API, which is sent in a header."""
    if not re.fullmatch(r"[!#-&(-~]+", text):
        raise ValueError(
            "write the token alone, as Label Studio shows it: without quotes, spaces, or a word such as Token"
        )
    return text


def header(text: str) -> str:
    """Read what is sent as the value of a header."""
    if not account(text).isprintable():
        raise ValueError("write it in one line")
    return text


def host(text: str) -> str:
    """Read a host name, an address (an IPv6 one with or without brackets) or unix:PATH."""
    if text.startswith("unix:"):
        place = text.removeprefix("unix:").removeprefix("//")
        if not 0 < len(os.fsencode(place)) <= _SOCKET_PATH:
            raise ValueError(f"write unix: and a path of 1 to {_SOCKET_PATH} bytes")
        return f"unix:{place}"
    name = text.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError("write a host name or an address, without http:// and without a port") from None
        _looked_up(name)
    return name


def path(text: str) -> Path:
    """Read a path, ~ for the home folder; a relative one starts at the current folder."""
    if text[:1] in ("'", '"'):  # as `docker run --env-file` leaves them
        raise ValueError("write the path without quotes")
    if "://" in text:
        raise ValueError(
            "write a path on this machine; CLICKMASK_REGISTRY takes the address of an object store"
        )
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # no HOME, and the user is not in /etc/passwd
        raise ValueError("there is no home folder for ~: write an absolute path") from None
