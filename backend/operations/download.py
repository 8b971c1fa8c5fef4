"""Fetches what the operator names into a file, bounded and checked; not for addresses out of requests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from backend.label_studio.transport import ask
from backend.settings.masking import without_password
from backend.settings.proxies import EXCEPTED, described, proxy_for
from model.errors import ClickmaskError

CHUNK = 1 << 20
TIMEOUT_S = (10.0, 60.0)  # to connect, between two pieces


class DownloadError(ClickmaskError, ValueError):
    """The file could not be fetched; the message names the address, the trouble and the fix."""


def download(
    url: str,
    target: Path,
    limit: int,
    sha256: str | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> str:
    """Fetch `url` into `target`.

    Args:
        limit: most bytes that are taken.
        sha256: hex digest the file must have; None takes any.
        progress: called with bytes done and bytes in all (None where the server does not say).

    Returns:
        The sha256 of the file, in hex.

    Raises:
        DownloadError: no answer, an error status, too large, or another file than expected.
    """
    digest, done, shown = hashlib.sha256(), 0, without_password(url)
    with (
        _troubles_named(url, shown),
        ask(url, stream=True, timeout=TIMEOUT_S) as answer,
        open(target, "wb") as file,
    ):
        if answer.status_code != 200:
            raise DownloadError(f"{shown} answers {answer.status_code} {answer.reason}: check the address")
        total = _length(answer)
        _check_size(shown, total or 0, limit)
        for chunk in answer.iter_content(CHUNK):
            done += len(chunk)
            _check_size(shown, done, limit)
            file.write(chunk)
            digest.update(chunk)
            progress(done, total)
    if total is not None and done != total:
        raise DownloadError(f"{shown} broke off after {done} of {total} bytes: try again")
    if sha256 is not None and digest.hexdigest() != sha256.lower():
        raise DownloadError(
            f"{shown} has sha256 {digest.hexdigest()}, expected {sha256}: do not use this file"
        )
    return digest.hexdigest()


@contextmanager
def _troubles_named(url: str, shown: str) -> Iterator[None]:
    """Make a `DownloadError` of what the network or the address is at fault for; `shown` is without a password."""
    try:
        yield
    except ClickmaskError:
        raise
    except requests.RequestException as error:
        proxy = proxy_for(url)
        hint = f"it is asked through {described(proxy)}; {EXCEPTED}" if proxy else "check address and network"
        raise DownloadError(f"{shown} cannot be fetched ({type(error).__name__}): {hint}") from None
    except ValueError:
        raise DownloadError(f"{shown}, or where it leads to, is no address: check it") from None
    except OSError as error:
        if error.filename is not None:  # the target's disk
            raise
        raise DownloadError(f"{shown} cannot be fetched: {error}") from None  # such as a REQUESTS_CA_BUNDLE


def _length(answer: requests.Response) -> int | None:
    length = answer.headers.get("Content-Length", "")
    packed = answer.headers.get("Content-Encoding", "identity") != "identity"
    return int(length) if length.isdigit() and not packed else None


def _check_size(shown: str, size: int, limit: int) -> None:
    if size > limit:
        raise DownloadError(f"{shown} is larger than {limit >> 20} MB: raise --max-mb if that is right")
