"""A Label Studio that issues and takes tokens as version 1.23.2 does."""

from __future__ import annotations

import base64
import json
import time
from http.server import BaseHTTPRequestHandler

from tests.backend.http_server import Web, body_of, send, send_json


def jwt(kind: str, lifetime_s: float = 300, serial: int = 0, clock: float = 0) -> str:
    """A token as Label Studio issues it, by a clock that differs by that many seconds."""
    now = time.time() + clock
    payload = {"token_type": kind, "exp": now + lifetime_s, "iat": now, "jti": serial}
    middle = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{middle}.sig"


LEGACY = "0123456789abcdef0123456789abcdef01234567"


REFRESH = jwt("refresh", 1e9)


class TokenStudio:
    """Exchanges REFRESH for access tokens and answers /api/version to holders of the newest one."""

    def __init__(self, web: Web, prefix: str = "", lifetime_s: float = 300, clock: float = 0) -> None:
        self.issued: list[str] = []
        self.lifetime_s, self.clock = lifetime_s, clock
        web.routes[f"{prefix}/api/token/refresh/"] = self._refresh
        web.routes[f"{prefix}/api/version"] = self._version

    def _refresh(self, handler: BaseHTTPRequestHandler) -> None:
        if body_of(handler) != {"refresh": REFRESH}:
            return send(handler, 401, b"{}")
        self.issued.append(jwt("access", self.lifetime_s, len(self.issued), self.clock))
        return send_json(handler, {"access": self.issued[-1]})

    def _version(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Authorization") not in (
            f"Bearer {self.issued[-1:] and self.issued[-1]}",
            f"Token {LEGACY}",
        ):
            return send(handler, 401, b'{"detail": "Invalid token."}')
        return send(handler, 200, b'{"release": "1.23.2"}')
