"""HTTP for images, guarded: what may be sent back, how long it may take, and who sees the token.

The connection goes to the very address that the guard judged, and each redirect is judged anew. Where HTTP_PROXY and
its kin name a proxy (`backend.settings.proxies`), it resolves the name once more by itself: what it may reach is for
the proxy's own rules to say. REQUESTS_CA_BUNDLE names certificate authorities of one's own, as for `requests`.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from backend.images.ssrf import PORTS, FetchError, Guard, Origin, netloc, origin
from backend.settings.proxies import proxy_for

CONNECT_S, READ_S, TOTAL_S = 3.0, 10.0, 20.0
MAX_REDIRECTS = 3


class _Deadline:
    """Ends connections when the time is up.

    The time-out of a socket starts anew with every byte, so that a slow drip would never meet it.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)

    def __enter__(self) -> _Deadline:
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for handle in self._sockets:
            handle.close()

    def left(self) -> float:
        """Seconds, not negative."""
        return max(0.0, self._end - time.monotonic())

    def watch(self, connected: socket.socket) -> None:
        """Include a connection; through a handle of our own, since TLS takes the socket over."""
        self._sockets.append(connected.dup())
        if not self.left():
            self._cut()

    def _cut(self) -> None:
        for handle in self._sockets:
            try:
                handle.shutdown(socket.SHUT_RDWR)
            except OSError:  # ended by the other side
                continue


class _Watched:
    """Makes a connection known to a deadline as soon as it is made."""

    def __init__(self, *args: Any, deadline: _Deadline, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = deadline

    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        self._deadline.watch(connected)
        return connected


class _Plain(_Watched, HTTPConnection):
    pass


class _Secure(_Watched, HTTPSConnection):
    pass


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


def fetch(
    url: str, guard: Guard, headers: Callable[[], Mapping[str, str]] = dict, max_bytes: int = 50 << 20
) -> bytes:
    """Load one file.

    Args:
        url: http(s) address.
        guard: judges the first address and every redirect.
        headers: credentials, sent to the guard's trusted origin and nowhere else; may raise.
        max_bytes: more is refused, also where the answer does not announce its size.

    Raises:
        FetchError: see its text.
    """
    from_trusted = False
    with _Deadline(TOTAL_S) as deadline:
        for _ in range(MAX_REDIRECTS + 1):
            target, proxy = origin(url), proxy_for(url)
            # Names that only the proxy knows need not be known here, where they are listed.
            addresses = [] if proxy and guard.names(target) else guard.addresses(target, from_trusted)
            from_trusted = target == guard.trusted
            credentials = dict(headers()) if from_trusted else {}
            if proxy:
                response = _open_through(proxy, url, credentials, deadline)
            else:
                response = _open(url, addresses, credentials, deadline)
            try:
                if response.status not in (301, 302, 303, 307, 308):
                    return _body(response, target, max_bytes, deadline)
                url = _next(url, response.headers.get("Location", ""), from_trusted)
            finally:
                response.close()
    raise FetchError(f"more than {MAX_REDIRECTS} redirects while loading an image from {target[1]!r}")


def _next(url: str, location: str, from_trusted: bool) -> str:
    """The address that a redirect leads to."""
    try:
        following = urljoin(url, location)
    except ValueError as error:
        raise FetchError(f"{origin(url)[1]} redirects to a malformed address: {error}") from None
    old, new = origin(url), origin(following)
    if from_trusted and (old[0], new[0]) == ("http", "https") and old[1] == new[1]:
        raise FetchError(f"Label Studio moved to https://{netloc(new)}: set LABEL_STUDIO_URL to it")
    return following


def _open(
    url: str, addresses: list[str], credentials: dict[str, str], deadline: _Deadline
) -> urllib3.BaseHTTPResponse:
    """Ask the first address that accepts a connection."""
    target, parts = origin(url), urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"Host": netloc(target), "User-Agent": "clickmask", "Connection": "close", **credentials}
    last: Exception | None = None
    for address in addresses:
        if not (left := deadline.left()):
            break
        timeout = urllib3.Timeout(connect=min(CONNECT_S, left), read=min(READ_S, left))
        pool = _pool(target, address, deadline)
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
    raise FetchError(f"{netloc(target)} did not answer: {_reason(last, deadline)}")


def _open_through(
    proxy: str, url: str, credentials: dict[str, str], deadline: _Deadline
) -> urllib3.BaseHTTPResponse:
    """Ask a proxy for the answer."""
    left = deadline.left()
    timeout = urllib3.Timeout(connect=min(CONNECT_S, left), read=min(READ_S, left))
    sent = {"User-Agent": "clickmask", "Connection": "close", **credentials}
    try:
        return _through(proxy, deadline).urlopen(
            "GET",
            url,
            headers=sent,
            timeout=timeout,
            redirect=False,
            retries=False,
            preload_content=False,
        )
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        place = urlsplit(proxy)
        raise FetchError(
            f"{netloc(origin(url))} did not answer through the proxy {place.hostname}:{place.port} of HTTP_PROXY or "
            f"HTTPS_PROXY: {_reason(error, deadline)}; NO_PROXY names hosts that are asked directly"
        ) from None


def _through(proxy: str, deadline: _Deadline) -> urllib3.ProxyManager:
    """Connections of a proxy that a deadline knows of."""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    account = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if parts.username else None
    manager = urllib3.ProxyManager(
        f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS.get(parts.scheme, 80)}",
        proxy_headers=urllib3.make_headers(proxy_basic_auth=account) if account else None,
        ssl_context=_tls(_authorities()),
    )
    pools: dict[str, Any] = {
        "http": functools.partial(_PlainPool, deadline=deadline),
        "https": functools.partial(_SecurePool, deadline=deadline),
    }
    manager.pool_classes_by_scheme = pools
    return manager


def _authorities() -> str:
    return os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where()


def _pool(target: Origin, address: str, deadline: _Deadline) -> urllib3.HTTPConnectionPool:
    """One connection to one address, in the name of the target."""
    scheme, host, port = target
    if scheme == "http":
        return _PlainPool(address, port, deadline=deadline)
    return _SecurePool(
        address, port, ssl_context=_tls(_authorities()), server_hostname=host, deadline=deadline
    )


@functools.cache
def _tls(authorities: str) -> ssl.SSLContext:
    """Trusts the certificate authorities of a file or folder; made once, since reading them takes a while."""
    if os.path.isdir(authorities):
        return ssl.create_default_context(capath=authorities)
    return ssl.create_default_context(cafile=authorities)


def _reason(error: Exception | None, deadline: _Deadline) -> str:
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # urllib3 counts it among time-outs
    if not deadline.left():
        return f"it took longer than {TOTAL_S:g} s"
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return "time ran out"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "its certificate is not valid for this name, or from an unknown authority (REQUESTS_CA_BUNDLE)"
    return "the connection failed"


def _body(response: urllib3.BaseHTTPResponse, source: Origin, max_bytes: int, deadline: _Deadline) -> bytes:
    host = source[1]
    if response.status != 200:
        raise FetchError(f"{host} answered {response.status}", response.status, source)
    too_large = f"the file at {host} is larger than {max_bytes / (1 << 20):g} MB (CLICKMASK_MAX_IMAGE_MB)"
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise FetchError(too_large)
    parts, size, error = [], 0, None
    try:
        while chunk := response.read1(1 << 16, decode_content=True):
            size += len(chunk)
            if size > max_bytes:
                raise FetchError(too_large)
            parts.append(chunk)
    except (urllib3.exceptions.HTTPError, OSError) as broken:
        error = broken
    if error is not None or not deadline.left():  # a connection that was cut may look like one that ended
        raise FetchError(f"loading an image from {host} broke off: {_reason(error, deadline)}")
    return b"".join(parts)
