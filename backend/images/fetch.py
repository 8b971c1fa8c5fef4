"""HTTP for images, guarded: what may be sent back, how long it may take, and who sees the token.

The connection goes to the very address that the guard judged, and each redirect is judged anew. Where HTTP_PROXY and
its kin name a proxy (`backend.settings.proxies`), it resolves the name once more by itself: what it may reach is for
the proxy's own rules to say.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

import urllib3

from backend.images.connection import Deadline, direct, through
from backend.images.ssrf import FetchError, Guard, Origin, netloc, origin
from backend.settings.certificates import refusal
from backend.settings.proxies import EXCEPTED, described, proxy_for

_SITE = re.compile(r"[^/?#]*//[^/?#]*")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
CONNECT_S, READ_S, TOTAL_S = 3.0, 10.0, 20.0
MAX_REDIRECTS = 3


def fetch(
    url: str, guard: Guard, headers: Callable[[], Mapping[str, str]] = dict, max_bytes: int = 50 << 20
) -> bytes:
    """Load one file.

    Args:
        url: http(s) address.
        guard: judges the first address and every redirect.
        headers: credentials, sent to what the guard opens of its trusted origin and nowhere else; may raise.
        max_bytes: more is refused, also where the answer does not announce its size.

    Raises:
        FetchError: see its text.
    """
    from_trusted = False
    with Deadline(TOTAL_S) as deadline:
        for _ in range(MAX_REDIRECTS + 1):
            url = _spelled(url)
            target, proxy = origin(url), proxy_for(url)
            # Names that only the proxy knows need not be known here, where they are listed.
            addresses = [] if proxy and guard.names(target) else guard.addresses(target, from_trusted)
            from_trusted = target == guard.trusted
            credentials = dict(headers()) if from_trusted and guard.opens(urlsplit(url).path) else {}
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


def _spelled(url: str) -> str:
    """Return an address as browsers take it: backslashes of a path for slashes, a percent sign that is alone for one.

    urllib3 would encode all percent signs anew where one of them is alone.
    """
    place, mark, query = url.partition("?")
    whole = place.replace("\\", "/") + mark + query
    site = _SITE.match(whole)
    begin = site.end() if site else 0
    return whole[:begin] + _LONE_PERCENT.sub("%25", whole[begin:])


def _next(url: str, location: str, from_trusted: bool) -> str:
    """Return the address that a redirect leads to."""
    with contextlib.suppress(UnicodeError):
        location = location.encode("latin-1").decode()  # what is not ASCII comes as UTF-8, as a rule
    try:
        following = urljoin(url, location)
    except ValueError as error:
        raise FetchError(f"{origin(url)[1]} redirects to a malformed address: {error}") from None
    old, new = origin(url), origin(following)
    if from_trusted and (old[0], new[0]) == ("http", "https") and old[1] == new[1]:
        raise FetchError(f"Label Studio moved to https://{netloc(new)}: set LABEL_STUDIO_URL to it")
    return following


def _open(
    url: str, addresses: list[str], credentials: dict[str, str], deadline: Deadline
) -> urllib3.BaseHTTPResponse:
    """Ask the first address that accepts a connection."""
    target, parts = origin(url), urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"Host": netloc(target), "User-Agent": "clickmask", "Connection": "close", **credentials}
    last: Exception | None = None
    for address in addresses:
        if not (left := deadline.left()):
            break
        pool, timeout = direct(target, address, deadline), _timeout(left)
        try:
            return _get(pool, path, sent, timeout)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            last = error
    raise FetchError(f"{netloc(target)} did not answer: {_reason(last, deadline)}")


def _open_through(
    proxy: str, url: str, credentials: dict[str, str], deadline: Deadline
) -> urllib3.BaseHTTPResponse:
    """Ask a proxy for the answer."""
    sent = {"User-Agent": "clickmask", "Connection": "close", **credentials}
    try:
        return _get(through(proxy, deadline), url, sent, _timeout(deadline.left()))
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise FetchError(
            f"{netloc(origin(url))} did not answer through {described(proxy)}: {_reason(error, deadline)}; {EXCEPTED}"
        ) from None


def _timeout(left_s: float) -> urllib3.Timeout:
    return urllib3.Timeout(connect=min(CONNECT_S, left_s), read=min(READ_S, left_s))


def _get(
    pool: urllib3.HTTPConnectionPool | urllib3.ProxyManager,
    url: str,
    sent: dict[str, str],
    timeout: urllib3.Timeout,
) -> urllib3.BaseHTTPResponse:
    """Send one request, and leave the body of the answer and redirects to the caller."""
    return pool.urlopen(
        "GET", url, headers=sent, timeout=timeout, redirect=False, retries=False, preload_content=False
    )


def _reason(error: Exception | None, deadline: Deadline) -> str:
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # urllib3 counts it among time-outs
    if not deadline.left():
        return f"it took longer than {TOTAL_S:g} s"
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return "time ran out"
    if isinstance(error, urllib3.exceptions.SSLError):
        return refusal(error)
    return "the connection failed"


def _body(response: urllib3.BaseHTTPResponse, source: Origin, max_bytes: int, deadline: Deadline) -> bytes:
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
