"""Tells which requests go through a proxy: one rule for all of them, those to Label Studio and those for images."""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

from backend.settings.masking import without_password

EXCEPTED = "NO_PROXY names hosts that are asked directly"


def proxy_for(url: str) -> str | None:
    """Return the proxy that a request goes through, None for none.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY decide, as everywhere; this machine itself is never asked through
    a proxy, whose loopback would be another machine.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    if _is_this_machine(host) or _is_excepted(host):
        return None
    return select_proxy(url, get_environ_proxies(url))


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excepted(host: str) -> bool:
    """Tell whether an address lies in a network of NO_PROXY; requests knows such of IPv4 alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    listed = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    for entry in listed.replace(",", " ").split():
        with suppress(ValueError):
            if address in ipaddress.ip_network(entry.strip("[]"), strict=False):
                return True
    return False


def described(proxy: str) -> str:
    """Name a proxy in a message, without its account."""
    return f"the proxy {without_password(proxy)} of HTTP_PROXY or HTTPS_PROXY"
