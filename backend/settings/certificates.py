"""Tells whose certificates are trusted, and what is wrong with one: the same for all requests."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

# Not ours: the HTTP library reads these, the first one that is set.
AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

# OpenSSL's numbers for what is wrong with a certificate; all others come down to an authority that is not trusted.
_NOT_NOW = (9, 10)
_ANOTHER_NAME = (62, 64)


def authorities() -> str | None:
    """Return the file or folder of certificate authorities that the environment names; None for the usual ones."""
    return next((place for name in AUTHORITIES if (place := os.environ.get(name))), None)


def unusable(name: str, env: Mapping[str, str]) -> str:
    """Return what is wrong with the certificate authorities that a variable names; "" where nothing is."""
    place = Path(env.get(name, ""))
    try:
        if env.get(name) and not place.is_dir():
            ssl.create_default_context(cafile=str(place))
    except OSError as error:  # SSLError is one
        reason = (
            "there is no such file" if isinstance(error, FileNotFoundError) else "it holds no certificates"
        )
        return f"{name} is {str(place)!r}: {reason}; name a file of PEM certificates, or unset it"
    return ""


def refusal(error: BaseException) -> str:
    """Say in half a sentence why no connection by TLS came about, and what to change.

    Args:
        error: of an HTTP library, which wraps what Python's ``ssl`` has raised.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code in _NOT_NOW:
            return "its certificate has expired or is not valid yet: renew it, or set this machine's clock"
        if cause.verify_code in _ANOTHER_NAME:
            return "its certificate is for another name: write the address with a name that stands in it"
        return f"its certificate is from an unknown authority: name it in {AUTHORITIES[0]}"
    reason = (cause.reason if isinstance(cause, ssl.SSLError) else None) or "no reason given"
    return f"it does not answer by TLS ({reason.replace('_', ' ').lower()}): is https:// right?"
