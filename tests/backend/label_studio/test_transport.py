"""Tokens are told by their form, and so are answers."""

import base64
import json

import pytest

from backend.label_studio.transport import (
    LIFETIME_S,
    Answered,
    LabelStudioError,
    lifetime,
    shaped,
    token_kind,
)


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


@pytest.mark.parametrize(
    ("answer", "kind"), [(None, dict), ([], dict), ("x", list), ({}, list), ([None], list), ("7", int)]
)
def test_an_answer_of_another_kind_is_not_label_studios(answer: object, kind: type) -> None:
    with pytest.raises(LabelStudioError, match="what answers at LABEL_STUDIO_URL"):
        shaped(answer, kind)


def test_a_field_that_is_not_there_is_named() -> None:
    assert shaped([Answered(id=3)], list)[0]["id"] == 3
    assert Answered().get("id") is None
    with pytest.raises(LabelStudioError, match="no 'id'"):
        Answered()["id"]
