import base64
import dataclasses

import pytest
from werkzeug.exceptions import Forbidden, UnsupportedMediaType

from backend.settings import Settings
from backend.web.auth import Authenticator, account, check_sender

OPEN = Settings()
LOGIN = dataclasses.replace(OPEN, basic_auth_user="user", basic_auth_pass="right")
RIGHT, WRONG = ("user", "right"), ("user", "wrong")
SENT = {"Authorization": "Basic ..."}
LABEL_STUDIO = {"User-Agent": "heartex/1.23.2"}


@pytest.mark.parametrize(
    ("path", "headers", "account", "admitted"),
    [
        ("/predict", SENT, RIGHT, True),
        ("/predict", SENT, WRONG, False),
        ("/predict", SENT, ("right", "user"), False),
        ("/predict", {}, None, False),
        ("/setup", LABEL_STUDIO, None, False),
        ("/metrics", {}, None, False),
        ("/health", SENT, RIGHT, True),
        ("/health", SENT, WRONG, False),  # Label Studio then says that the password is wrong
        ("/health", {"Authorization": "Bearer x"}, None, False),
        ("/health", LABEL_STUDIO, None, False),  # and here that it is missing
        ("/health", {}, None, True),  # a container's or load balancer's probe
        ("/ready", {}, None, True),
    ],
)
def test_password(
    path: str, headers: dict[str, str], account: tuple[str, str] | None, admitted: bool
) -> None:
    assert Authenticator(LOGIN).admits(path, headers, account) is admitted


def test_without_a_password_everybody_may_call() -> None:
    assert Authenticator(OPEN).admits("/predict", {}, None)
    assert Authenticator(OPEN).admits("/predict", SENT, WRONG)


@pytest.mark.parametrize("password", ["Straße", "pass:word", "Ã¤", "", "ÿ"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_password_may_come_in_either_encoding(password: str, encoding: str) -> None:
    login = dataclasses.replace(LOGIN, basic_auth_pass=password)
    sent = base64.b64encode(f"user:{password}".encode(encoding)).decode()
    assert Authenticator(login).admits("/predict", SENT, account(f"Basic {sent}"))
    other = base64.b64encode(f"user:{password}x".encode(encoding)).decode()
    assert not Authenticator(login).admits("/predict", SENT, account(f"Basic {other}"))


@pytest.mark.parametrize("header", [None, "", "Basic", "Bearer abc", "Basic a", "Basic \xe4"])
def test_a_header_that_holds_no_account(header: str | None) -> None:
    assert account(header) in (None, ("", ""))


@pytest.mark.parametrize(
    ("login", "secret", "action", "given", "account", "admitted"),
    [
        (False, None, "ANNOTATION_CREATED", (), None, True),
        (False, "s", "ANNOTATION_CREATED", ("s",), None, True),
        (False, "s", "ANNOTATION_CREATED", (), None, False),
        (False, "s", "ANNOTATION_CREATED", ("t",), None, False),
        (False, "s", "START_TRAINING", (), None, True),  # comes through the ML client, without a secret
        (True, "s", "ANNOTATION_CREATED", ("s",), None, True),
        (True, "s", "ANNOTATION_CREATED", ("t", "s"), None, True),
        (True, "s", "ANNOTATION_CREATED", (), RIGHT, True),
        (True, "s", "START_TRAINING", (), RIGHT, True),
        (True, "s", "START_TRAINING", (), None, False),
        (True, "s", "ANNOTATION_CREATED", (), WRONG, False),
        (True, None, "ANNOTATION_CREATED", ("",), None, False),
    ],
)
def test_webhooks(
    login: bool,
    secret: str | None,
    action: str,
    given: tuple[str, ...],
    account: tuple[str, str] | None,
    admitted: bool,
) -> None:
    auth = Authenticator(dataclasses.replace(LOGIN if login else OPEN, webhook_secret=secret))
    assert auth.admits_event(action, given, account) is admitted


@pytest.mark.parametrize(
    ("kind", "origin", "refused"),
    [
        ("application/json", None, None),
        ("application/problem+json", None, None),
        ("application/json", "http://clickmask.example:9090", None),
        ("application/json", "https://clickmask.example:9090", None),
        ("application/json", "http://clickmask.example", Forbidden),
        ("application/json", "http://elsewhere.example", Forbidden),
        ("application/json", "null", Forbidden),
        ("text/plain", None, UnsupportedMediaType),
        ("multipart/form-data", None, UnsupportedMediaType),
        ("", None, UnsupportedMediaType),
    ],
)
def test_only_json_and_nothing_of_a_page_elsewhere(kind, origin, refused):
    if refused is None:
        check_sender("clickmask.example:9090", kind, origin)
    else:
        with pytest.raises(refused):
            check_sender("clickmask.example:9090", kind, origin)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("localhost:9090", True),
        ("127.0.0.1:9090", True),
        ("[::1]:9090", True),
        ("192.168.1.5", True),
        ("elsewhere.example:9090", False),
        ("localhost.elsewhere.example:9090", False),
        ("127.0.0.1.elsewhere.example", False),
    ],
)
def test_a_name_may_lead_here_only_where_there_is_a_password(host, address):
    kind, own = "application/json", f"http://{host}"
    check_sender(host, kind, None, protected=False)  # Label Studio, by whatever name
    check_sender(host, kind, own, protected=Authenticator(LOGIN).has_account)
    if address:
        check_sender(host, kind, own, protected=Authenticator(OPEN).has_account)
    else:
        with pytest.raises(Forbidden):
            check_sender(host, kind, own, protected=Authenticator(OPEN).has_account)
