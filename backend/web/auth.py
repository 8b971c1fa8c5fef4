"""Decides who may call: HTTP basic authentication, and a secret for webhooks.

What Label Studio does decides the rules (observed with 1.23). It sends the backend's user and password with
/health, /setup, /predict, /versions and START_TRAINING, but nothing with the webhooks it registers itself; for
those a secret goes into the webhook's header or URL. It turns a 401 from /health into a message that speaks of
missing or wrong credentials, any other 401 into one that does not.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from werkzeug.exceptions import Forbidden, UnsupportedMediaType

from backend.settings import Settings

_LABEL_STUDIO_AGENT = "heartex/"
# Load balancers and containers ask these, and have no password.
_PROBES = ("/health", "/ready")


class Authenticator:
    """Decides about one request at a time.

    Args:
        settings: `account` and `webhook_secret` are used.
    """

    def __init__(self, settings: Settings) -> None:
        self._account = None if settings.account is None else ":".join(settings.account)
        self._secret = settings.webhook_secret

    @property
    def has_account(self) -> bool:
        """Tell whether a password is asked for."""
        return self._account is not None

    def admits(self, path: str, headers: Mapping[str, str], account: tuple[str, str] | None) -> bool:
        """Tell whether a request other than a webhook may pass.

        Args:
            path: of the URL.
            headers: of the request.
            account: user and password it came with; None where it has none.
        """
        if self._account is None:
            return True
        if account is None and "Authorization" not in headers and path in _PROBES:
            # Label Studio gets the 401, so that it tells its user what is missing.
            return not headers.get("User-Agent", "").startswith(_LABEL_STUDIO_AGENT)
        return account is not None and _same(f"{account[0]}:{account[1]}", self._account)

    def admits_event(self, action: str, secrets: tuple[str, ...], account: tuple[str, str] | None) -> bool:
        """Tell whether a webhook may pass.

        Args:
            action: what it reports. START_TRAINING comes with the password instead of the secret.
            secrets: values of the header and of the URL's parameter, those that are there.
            account: as for `admits`.
        """
        if self._account is not None and account is not None:
            return _same(f"{account[0]}:{account[1]}", self._account)
        if self._secret is not None and any(_same(secret, self._secret) for secret in secrets):
            return True
        if self._account is not None:
            return False
        return self._secret is None or action == "START_TRAINING"


def account(header: str | None) -> tuple[str, str] | None:
    """Read user and password out of an Authorization header (RFC 7617); None where it holds none.

    Label Studio sends Latin-1, browsers UTF-8. What is no UTF-8 is read as Latin-1; `_same` knows what may be both.
    """
    kind, _, value = (header or "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        given = base64.b64decode(value.strip())
    except ValueError:
        return None
    try:
        user, _, password = given.decode().partition(":")
    except UnicodeDecodeError:
        user, _, password = given.decode("latin-1").partition(":")
    return user, password


def check_sender(host: str, kind: str, origin: str | None, protected: bool = True) -> None:
    """Refuse what a web page elsewhere can make the browser of a member of staff send, who has access here.

    Args:
        host: the name and port that the request was sent to.
        kind: media type of its body. A page elsewhere may send only others than JSON without being asked first.
        origin: header with the page that made the browser send it; None from anything but a browser.
        protected: whether a password is asked for. Without one, a page elsewhere can make its own name lead here, and
            then has our origin; it can do so neither with an address nor with localhost.

    Raises:
        HTTPException: 403 for a page elsewhere, 415 for another kind of body than JSON.
    """
    if origin is not None and (_place(origin) != host or not (protected or _is_address(host))):
        raise Forbidden("requests that a page of another origin makes a browser send are refused")
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType(
            f"the body is said to be {kind or 'nothing'}; send it with the header Content-Type: application/json"
        )


def _place(origin: str) -> str:
    """Return host and port of an Origin header; "" where it has none, or is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    """Tell whether a Host header names localhost or a bare address: nobody can let these lead elsewhere."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _same(given: str, expected: str) -> bool:
    """Compare in a time that does not tell how much of it was right; Latin-1 that looks like UTF-8 is right, too."""
    forms = [expected.encode()]
    with suppress(UnicodeEncodeError):
        forms.append(expected.encode("latin-1"))
    return any(hmac.compare_digest(given.encode(), form) for form in forms)
