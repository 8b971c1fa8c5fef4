"""Keeps passwords and tokens out of everything that is printed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

MASK = "***"
SHORTEST = 4  # a shorter secret is not replaced wherever it occurs: it would also be found in harmless words

_HOST_PORT = re.compile(r"[^:\[\]]*(:\d*)?|\[[^\]]*\](:\d*)?")
# user:password with the rest of the address forgotten; not host:port.
_LONE_ACCOUNT = re.compile(r"[^:/\[\]\s]+:(?!\d*$)[^:/\s]+")
# user:password@ in an address, also where the password holds characters that belong encoded.
_ACCOUNT = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/'\"]*@", re.IGNORECASE)


def without_password(address: str) -> str:
    """Return an address with account and query values replaced by ***; any other text unchanged.

    Works on addresses that no parser takes, too: everything before the last @ goes.
    """
    scheme, found, rest = address.partition("://")
    if not found:
        if "@" in address:
            return f"{MASK}@{address.rpartition('@')[2]}"
        return MASK if _LONE_ACCOUNT.fullmatch(address) else address
    account, _, place = rest.rpartition("@")
    if not account and ("#" in place or not _HOST_PORT.fullmatch(re.split("[/?]", place)[0])):
        return f"{scheme}://{MASK}"  # such as user:password with the host forgotten
    place, mark, query = place.partition("?")
    query = re.sub(r"=[^&]*", f"={MASK}", query)
    return f"{scheme}://{f'{MASK}@' if account else ''}{place}{mark}{query}"


def passwords(address: str) -> list[str]:
    """Return the passwords in an address, as written and decoded: of its account and of its query."""
    _, found, rest = address.partition("://")
    if not found:
        return []
    account, _, place = rest.rpartition("@")
    secrets = [account.partition(":")[2], *re.findall(r"(?:pass|password|secret|token|key)=([^&#]+)", place)]
    return [form for secret in secrets if secret for form in dict.fromkeys((secret, unquote(secret)))]


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Return text fit for a log: known secrets and the accounts of all addresses are replaced by ***."""
    for secret in sorted({s for s in secrets if len(s) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _ACCOUNT.sub(rf"\g<scheme>{MASK}@", text)
