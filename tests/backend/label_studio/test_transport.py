"""Tokens are told by their form."""

import base64
import json

import pytest

from backend.label_studio.transport import LIFETIME_S, lifetime, token_kind


def jwt(**claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{middle}.sig"


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (jwt(token_type="refresh"), "refresh"),
        (jwt(token_type="access"), "access"),
        ("0123456789abcdef0123456789abcdef01234567", "legacy"),
        ("a.b.c", "legacy"),
        ("a.\x00.c", "legacy"),
        (f"a.{base64.urlsafe_b64encode(b'[1]').decode()}.c", "legacy"),
        ("", "legacy"),
    ],
)
def test_kinds(token, kind):
    assert token_kind(token) == kind


@pytest.mark.parametrize(
    ("token", "seconds"),
    [
        (jwt(iat=1000, exp=1300), 300),
        (jwt(iat=1000, exp=1020), 20),
        (jwt(exp=1300), LIFETIME_S),
        (jwt(iat=None, exp=1300), LIFETIME_S),
        ("no token", LIFETIME_S),
    ],
)
def test_a_lifetime_needs_no_clock(token, seconds):
    assert lifetime(token) == seconds
