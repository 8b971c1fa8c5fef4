"""Tells which requests go through a proxy: one rule for all of them, those to Label Studio and those for images."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy


def proxy_for(url: str) -> str | None:
    """Return the proxy that a request goes through, None for none.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY decide, as everywhere; this machine itself is never asked through
    a proxy, whose loopback would be another machine.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    if _is_this_machine(host):
        return None
    return select_proxy(url, get_environ_proxies(url))


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
