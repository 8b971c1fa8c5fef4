"""The kinds of token that open Label Studio's API, told by their form."""

from __future__ import annotations

import base64
import json
from typing import Any

LIFETIME_S = 300.0  # of Label Studio's access tokens


def token_kind(token: str) -> str:
    """Tell a token by its form: "refresh" (a personal access token), "access" (a short-lived JWT) or "legacy"."""
    claims = _claims(token)
    if claims is None:
        return "legacy"
    return "access" if claims.get("token_type") == "access" else "refresh"


def lifetime(access: str) -> float:
    """Seconds that a fresh JWT lasts, by its issuer's clock, since ours may differ."""
    claims = _claims(access) or {}
    try:
        return float(claims["exp"]) - float(claims["iat"])
    except (KeyError, TypeError, ValueError):
        return LIFETIME_S


def _claims(token: str) -> dict[str, Any] | None:
    """What a JWT says of itself (RFC 7519); None for other text. The signature is for Label Studio to check."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None
