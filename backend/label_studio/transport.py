"""Reaches Label Studio's API: connections, the kinds of token that open it, and what its refusals mean."""

from __future__ import annotations

import base64
import json
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests

from backend.settings.certificates import authorities, refusal
from backend.settings.proxies import EXCEPTED, described, proxy_for
from model.errors import ClickmaskError

Kind = TypeVar("Kind")
LIFETIME_S = 300.0  # of Label Studio's access tokens


class LabelStudioError(ClickmaskError, RuntimeError):
    """Label Studio refused or did not answer; the message is one sentence that says what to change.

    `status` is the HTTP status, None without an answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Answered(dict[str, Any]):
    """An object in an answer; asking for a field that is not there is a `LabelStudioError`."""

    def __missing__(self, key: str) -> Any:
        raise LabelStudioError(f"an answer has no {key!r}: is Label Studio what answers at LABEL_STUDIO_URL?")


def shaped(answer: Any, kind: type[Kind]) -> Kind:
    """Return an answer, or a part of it, of the kind that Label Studio gives; a list is one of objects.

    Raises:
        LabelStudioError: it is of another kind.
    """
    if isinstance(answer, kind) and not (
        isinstance(answer, list) and any(not isinstance(entry, dict) for entry in answer)
    ):
        return answer
    wanted = {dict: "object", list: "list of objects", int: "number"}[kind]  # what came may hold a token
    raise LabelStudioError(f"an answer is no {wanted}: is Label Studio what answers at LABEL_STUDIO_URL?")


def open_session() -> requests.Session:
    """Open a session that keeps connections and nothing else: with a cookie, Label Studio would not see the token.

    Nor is anything taken from the environment: accounts of ~/.netrc would replace the token.
    """
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def way_to(url: str) -> dict[str, Any]:
    """Return what the environment says of proxies and certificates, as options of a request."""
    proxy = proxy_for(url)
    return {"verify": authorities() or True, "proxies": {"http": proxy, "https": proxy} if proxy else {}}


def ask(url: str, method: str = "GET", **options: Any) -> requests.Response:
    """Send one request by the rule of all: `way_to` decides on proxies and certificates, and no ~/.netrc is read.

    Args:
        options: as for `requests.request` (timeout, auth, data, ...), whose errors pass through.
    """
    with open_session() as session:
        return session.request(method, url, **{**way_to(url), **options})


def unreachable(url: str, error: Exception) -> str:
    """Say in one sentence that there was no answer, and what to look at."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"Label Studio at {url} cannot be reached: {refusal(error)}"
    hint, proxy = "is it running, and is LABEL_STUDIO_URL right?", proxy_for(url)
    if proxy:
        hint = f"it is asked through {described(proxy)}; {EXCEPTED}"
    elif "localhost" in url or "127.0.0.1" in url:
        hint += (
            " (inside a container localhost is the container itself: use the service's or the host's name)"
        )
    kind = "did not answer in time" if isinstance(error, requests.exceptions.Timeout) else "cannot be reached"
    return f"Label Studio at {url} {kind}: {hint}"


def explain(answer: requests.Response, path: str, has_token: bool) -> str:
    """Say in one sentence what an error status means, with what Label Studio said of it."""
    status, said = answer.status_code, _detail(answer)
    if status == 401:
        return (
            f"Label Studio refused the token (401: {said}): set LABEL_STUDIO_API_KEY to a personal access token, or "
            "enable legacy tokens for the organization"
            if has_token
            else "Label Studio wants a token: set LABEL_STUDIO_API_KEY to a personal access token"
        )
    if status == 403:
        return f"the account behind LABEL_STUDIO_API_KEY may not use {path} (403: {said})"
    if status == 404:
        numbered = "given query" in said or any(character.isdigit() for character in path)
        asked = "are the number and LABEL_STUDIO_URL" if numbered else "is LABEL_STUDIO_URL"
        return f"Label Studio has no {path} for this account (404: {said}): {asked} right?"
    if status < 500:
        return f"Label Studio refused {path} ({status}: {said})"
    return f"Label Studio failed at {path} ({status}): look into its log"


def _detail(answer: requests.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.reason or "no reason given"
    if not isinstance(body, dict):
        return str(body)[:300]
    return str(body.get("validation_errors") or body.get("detail") or body)[:300]


def token_kind(token: str) -> str:
    """Tell a token by its form: "refresh" (a personal access token), "access" (a short-lived JWT) or "legacy"."""
    claims = _claims(token)
    if claims is None:
        return "legacy"
    return "access" if claims.get("token_type") == "access" else "refresh"


def lifetime(access: str) -> float:
    """Return the seconds that a fresh JWT lasts, by its issuer's clock, since ours may differ."""
    claims = _claims(access) or {}
    try:
        return float(claims["exp"]) - float(claims["iat"])
    except (KeyError, TypeError, ValueError):
        return LIFETIME_S


def _claims(token: str) -> dict[str, Any] | None:
    """Read what a JWT says of itself (RFC 7519); None for other text. Label Studio checks its signature."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None
