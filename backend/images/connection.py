"""Connections that end at a deadline: to the address that was judged, or through a proxy."""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
import time
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from backend.images.ssrf import PORTS, Origin
from backend.settings.certificates import authorities


class Deadline:
    """Ends connections when the time is up; a context.

    The time-out of a socket starts anew with every byte, so that a slow drip would never meet it.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)

    def __enter__(self) -> Deadline:
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for handle in self._sockets:
            handle.close()

    def left(self) -> float:
        """Return the seconds that are left, not negative."""
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

    def __init__(self, *args: Any, deadline: Deadline, **options: Any) -> None:
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


def direct(target: Origin, address: str, deadline: Deadline) -> urllib3.HTTPConnectionPool:
    """Return what connects to one address in the name of the target, as its certificate must say."""
    scheme, host, port = target
    if scheme == "http":
        return _PlainPool(address, port, deadline=deadline)
    return _SecurePool(
        address, port, ssl_context=_tls(_authorities()), server_hostname=host, deadline=deadline
    )


def through(proxy: str, deadline: Deadline) -> urllib3.ProxyManager:
    """Return what connects to a proxy, or through it.

    Args:
        proxy: its address, with an account where it wants one.

    Raises:
        ValueError: it is no address.
    """
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


@functools.cache
def _tls(place: str) -> ssl.SSLContext:
    """Trusts the certificate authorities of a file or folder; made once, since reading them takes a while."""
    if os.path.isdir(place):
        return ssl.create_default_context(capath=place)
    return ssl.create_default_context(cafile=place)


def _authorities() -> str:
    return authorities() or certifi.where()
