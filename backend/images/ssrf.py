"""Which addresses images may be loaded from: against server-side request forgery.

A name is resolved once and every address is judged; whoever connects must use the addresses that were judged.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from model.errors import ClickmaskError

ANY_PUBLIC_HOST = "*"
PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]  # scheme, host, port
Resolver = Callable[[str, int], list[str]]


class FetchError(ClickmaskError, RuntimeError):
    """A file could not be had; the message is one sentence that says why and what to change.

    `status` is the HTTP status where there was an answer, else None; `origin` is who gave it.
    """

    def __init__(self, message: str, status: int | None = None, origin: Origin | None = None) -> None:
        super().__init__(message)
        self.status, self.origin = status, origin


def origin(url: str) -> Origin:
    """Return scheme, host (lower case, ASCII) and port of an http(s) URL.

    Raises:
        FetchError: another scheme, no host, or user and password in the URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode().lower()
    except ValueError as error:
        raise FetchError(f"this image address is malformed: {error}") from None
    if parts.scheme not in PORTS:
        raise FetchError(
            f"image addresses must start with http:// or https://, not {parts.scheme or 'nothing'!r}"
        )
    if not host:
        raise FetchError("this image address names no host")
    if "@" in parts.netloc:
        raise FetchError("image addresses with a user or password in them are refused")
    if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+(%\w+)?", host):
        raise FetchError(f"this image address is malformed: {host!r} is no host")
    return parts.scheme, host, port or PORTS[parts.scheme]


def netloc(target: Origin) -> str:
    """Return host and port as they stand in a URL and in the Host header."""
    scheme, host, port = target
    name = f"[{host}]" if ":" in host else host
    return name if port == PORTS[scheme] else f"{name}:{port}"


def resolve(host: str, port: int) -> list[str]:
    """Return all addresses of a host, as text; takes as long as the system's resolver does."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Guard:
    """Decides which hosts may be asked.

    Attributes:
        trusted: the Label Studio origin; may have a private address.
        hosts: names, or name:port, that may be asked, at any address; "*" admits every host with public
            addresses only.
        opens: tells which paths of the Label Studio origin are asked for with its token.
    """

    trusted: Origin | None = None
    hosts: tuple[str, ...] = ()
    resolver: Resolver = resolve
    opens: Callable[[str], bool] = lambda path: True

    def names(self, target: Origin) -> bool:
        """Tell whether a host may be asked at any address: Label Studio's, and those that are listed by name."""
        return target == self.trusted or self.lists(target)

    def lists(self, target: Origin) -> bool:
        """Tell whether the host is listed by name."""
        _, host, port = target
        return not {host, f"{host}:{port}", netloc(target)}.isdisjoint(self.hosts)

    def addresses(self, target: Origin, redirected_by_trusted: bool = False) -> list[str]:
        """Return the addresses to connect to, all of them judged.

        Raises:
            FetchError: the host is not allowed, unknown, or has a private address without being listed.
        """
        _, host, port = target
        named = self.names(target)
        if not (named or redirected_by_trusted or ANY_PUBLIC_HOST in self.hosts):
            raise FetchError(
                f"the host {host!r} is not allowed: add it to CLICKMASK_IMAGE_HOSTS to load images from it"
            )
        try:
            found = self.resolver(host, port)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FetchError(f"the host {host!r} is not known here: {reason}") from None
        if not found:
            raise FetchError(f"the host {host!r} has no address")
        for address in found:
            if not named and not _is_public(address):
                raise FetchError(
                    f"the host {host!r} has the private address {address}: list the host in "
                    "CLICKMASK_IMAGE_HOSTS if images may be loaded from there"
                )
        return found


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # Outside of 2000::/3 there are ways to write IPv4 addresses (mapped, compatible, NAT64), which have to
        # come as such; inside there is 6to4.
        inner = ip.sixtofour
        return ip in ipaddress.IPv6Network("2000::/3") and ip.is_global and (inner is None or inner.is_global)
    return ip.is_global and not ip.is_multicast
