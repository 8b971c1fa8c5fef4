"""HTTP for images, guarded: which addresses may be asked, what they may send back, and who sees the token.

Against server-side request forgery: a name is resolved once, every address is judged, and the connection goes to
the very address that was judged; each redirect is judged anew. Environment proxies are not used, since a proxy
would resolve names by itself.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import certifi
import urllib3

CONNECT_S, READ_S, TOTAL_S = 3.0, 10.0, 20.0
MAX_REDIRECTS = 3
ANY_PUBLIC_HOST = "*"

Origin = tuple[str, str, int]  # scheme, host, port
Resolver = Callable[[str, int], list[str]]


class FetchError(RuntimeError):
    """A file could not be had; the message is one sentence that says why and what to change.

    `status` is the HTTP status where there was an answer, else None.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def origin(url: str) -> Origin:
    """Scheme, host and port of an http(s) URL.

    Raises:
        FetchError: another scheme, no host, or user and password in the URL.
    """
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchError(f"this image address is malformed: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise FetchError(
            f"image addresses must start with http:// or https://, not {parts.scheme or 'nothing'!r}"
        )
    if not parts.hostname:
        raise FetchError("this image address names no host")
    if parts.username or parts.password:
        raise FetchError("image addresses with a user or password in them are refused")
    return parts.scheme, parts.hostname.lower(), port or (443 if parts.scheme == "https" else 80)


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as text."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Guard:
    """Decides which hosts may be asked.

    Attributes:
        trusted: the Label Studio origin; may have a private address.
        hosts: names that may be asked, at any address; "*" admits every host with public addresses only.
    """

    trusted: Origin | None = None
    hosts: tuple[str, ...] = ()
    resolver: Resolver = resolve

    def addresses(self, target: Origin, redirected_by_trusted: bool = False) -> list[str]:
        """The addresses to connect to, all of them judged.

        Raises:
            FetchError: the host is not allowed, unknown, or has a private address without being listed.
        """
        _, host, port = target
        named = target == self.trusted or host in self.hosts
        if not (named or redirected_by_trusted or ANY_PUBLIC_HOST in self.hosts):
            raise FetchError(
                f"the host {host!r} is not allowed: add it to CLICKMASK_IMAGE_HOSTS to load images from it"
            )
        try:
            found = self.resolver(host, port)
        except OSError as error:
            raise FetchError(f"the host {host!r} is not known here: {error.strerror or error}") from None
        if not named:
            for address in found:
                if not _is_public(address):
                    raise FetchError(
                        f"the host {host!r} has the private address {address}: list the host in "
                        "CLICKMASK_IMAGE_HOSTS if images may be loaded from there"
                    )
        if not found:
            raise FetchError(f"the host {host!r} has no address")
        return found


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    return ip.is_global and not ip.is_multicast and (mapped is None or mapped.is_global)


def fetch(
    url: str, guard: Guard, headers: Callable[[], Mapping[str, str]] = dict, max_bytes: int = 50 << 20
) -> bytes:
    """Load one file.

    Args:
        url: http(s) address.
        guard: judges the first address and every redirect.
        headers: credentials, sent to the guard's trusted origin and nowhere else.
        max_bytes: more is refused, also where the answer does not announce its size.

    Raises:
        FetchError: see its text.
    """
    deadline = time.monotonic() + TOTAL_S
    from_trusted = False
    for _ in range(MAX_REDIRECTS + 1):
        target = origin(url)
        addresses = guard.addresses(target, from_trusted)
        from_trusted = target == guard.trusted
        credentials = dict(headers()) if from_trusted else {}
        response = _open(url, target, addresses, credentials, deadline)
        try:
            if response.status not in (301, 302, 303, 307, 308):
                return _body(response, target[1], max_bytes, deadline)
            url = urljoin(url, response.headers.get("Location", ""))
        finally:
            response.close()
    raise FetchError(f"more than {MAX_REDIRECTS} redirects while loading an image from {target[1]!r}")


def _open(
    url: str, target: Origin, addresses: Iterable[str], credentials: dict[str, str], deadline: float
) -> urllib3.BaseHTTPResponse:
    """Ask the first address that accepts a connection."""
    scheme, host, port = target
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    netloc = f"[{host}]" if ":" in host else host
    sent = {
        "Host": netloc if port in (80, 443) else f"{netloc}:{port}",
        "User-Agent": "clickmask",
        **credentials,
    }
    last: Exception | None = None
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        timeout = urllib3.Timeout(connect=min(CONNECT_S, left), read=min(READ_S, left))
        pool = _pool(scheme, address, port, host)
        try:
            return pool.urlopen(
                "GET",
                path,
                headers=sent,
                timeout=timeout,
                redirect=False,
                retries=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            last = error
    raise FetchError(f"{host}:{port} did not answer: {_reason(last)}")


def _pool(scheme: str, address: str, port: int, host: str) -> urllib3.HTTPConnectionPool:
    if scheme == "http":
        return urllib3.HTTPConnectionPool(address, port)
    return urllib3.HTTPSConnectionPool(
        address,
        port,
        server_hostname=host,
        assert_hostname=host,
        cert_reqs="CERT_REQUIRED",
        ca_certs=certifi.where(),
    )


def _reason(error: Exception | None) -> str:
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # urllib3 counts it among time-outs
    if error is None or (isinstance(error, urllib3.exceptions.TimeoutError) and not refused):
        return "time ran out"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "its certificate is not valid for this name"
    return "the connection failed"


def _body(response: urllib3.BaseHTTPResponse, host: str, max_bytes: int, deadline: float) -> bytes:
    if response.status != 200:
        raise FetchError(f"{host} answered {response.status}", response.status)
    too_large = f"the file at {host} is larger than {max_bytes / (1 << 20):g} MB (CLICKMASK_MAX_IMAGE_MB)"
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise FetchError(too_large)
    parts, size = [], 0
    try:
        while chunk := response.read1(1 << 16, decode_content=True):
            size += len(chunk)
            if size > max_bytes:
                raise FetchError(too_large)
            if time.monotonic() > deadline:
                raise FetchError(f"loading an image from {host} took longer than {TOTAL_S:g} s")
            parts.append(chunk)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise FetchError(f"loading an image from {host} broke off: {_reason(error)}") from None
    return b"".join(parts)
