"""The Label Studio client against a server that treats tokens as Label Studio 1.23.2 does."""

import logging
import ssl
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import trustme

from backend.label_studio import client as client_module
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.settings import Settings
from tests.backend.http_server import Web, answers, send, send_json
from tests.backend.proxy_server import Proxy
from tests.backend.token_studio import LEGACY, REFRESH, TokenStudio, jwt


def client(web: Web, token: str | None, path: str = "") -> LabelStudio:
    return LabelStudio(Settings(label_studio_url=web.url + path, label_studio_api_key=token))


def test_a_personal_access_token_is_exchanged_once_and_kept(web):
    studio = TokenStudio(web)
    studio_client = client(web, REFRESH)
    assert [studio_client.version() for _ in range(3)] == ["1.23.2"] * 3
    assert len(studio.issued) == 1


def test_it_is_renewed_before_it_expires(web):
    studio = TokenStudio(web, lifetime_s=10)  # less than the margin
    studio_client = client(web, REFRESH)
    studio_client.version()
    studio_client.version()
    assert len(studio.issued) == 2


@pytest.mark.parametrize("clock", [-86400, 86400])
def test_its_end_is_told_by_label_studios_clock(web, clock):
    studio = TokenStudio(web, clock=clock)
    studio_client = client(web, REFRESH)
    studio_client.version()
    studio_client.version()
    assert len(studio.issued) == 1


def test_eight_threads_share_one_exchange(web):
    studio = TokenStudio(web)
    studio_client = client(web, REFRESH)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: studio_client.version(), range(8))) == {"1.23.2"}
    assert len(studio.issued) == 1


def test_a_failed_exchange_is_that_of_all_who_waited(web, monkeypatch):
    asked, tries = threading.Semaphore(0), []

    def fail(handler):
        if not tries:  # all have asked before it fails
            assert all(asked.acquire(timeout=60) for _ in range(6))
        tries.append(1)
        send(handler, 500, b"")

    def monotonic():
        now = time.monotonic()
        asked.release()
        return now

    web.routes["/api/token/refresh/"] = fail
    monkeypatch.setattr(client_module, "time", SimpleNamespace(monotonic=monotonic))
    studio_client = client(web, REFRESH)
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(studio_client.version) for _ in range(6)]
    assert all("its log" in str(call.exception()) for call in calls)
    assert len(tries) == 1
    with pytest.raises(LabelStudioError, match="its log"):
        studio_client.version()
    assert len(tries) == 2, "whoever asks later tries anew"


def test_a_token_that_lasts_a_little_is_used_while_it_is_renewed(web):
    studio = TokenStudio(web, lifetime_s=20)  # less than the margin
    studio_client = client(web, REFRESH)
    studio_client.version()
    begun, end, refresh = threading.Event(), threading.Event(), web.routes["/api/token/refresh/"]
    web.routes["/api/token/refresh/"] = lambda handler: (begun.set(), end.wait(60), refresh(handler))
    with ThreadPoolExecutor(2) as pool:
        renewing = pool.submit(studio_client.headers)
        assert begun.wait(60)
        other = pool.submit(studio_client.headers)
        old = other.result(60)
        end.set()
        assert old["Authorization"].endswith(studio.issued[0])
        assert renewing.result(60)["Authorization"].endswith(studio.issued[1])


def test_a_revoked_access_token_is_replaced_at_once(web):
    studio = TokenStudio(web)
    studio_client = client(web, REFRESH)
    studio_client.version()
    studio.issued.append("revoked")
    assert studio_client.version() == "1.23.2"


def test_a_legacy_token_is_sent_as_it_is(web):
    TokenStudio(web)
    assert client(web, LEGACY).version() == "1.23.2"
    assert web.paths() == ["/api/version"]


def test_label_studio_under_a_sub_path(web):
    TokenStudio(web, prefix="/label-studio")
    assert client(web, REFRESH, "/label-studio/").version() == "1.23.2"
    assert web.paths() == ["/label-studio/api/token/refresh/", "/label-studio/api/version"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "LABEL_STUDIO_API_KEY"),
        (403, "may not use /api/version"),
        (404, "LABEL_STUDIO_URL"),
        (500, "its log"),
    ],
)
def test_errors_say_what_to_change_and_never_the_token(web, status, message):
    web.routes["/api/version"] = answers(status, b'{"detail": "no"}')
    with pytest.raises(LabelStudioError, match=message) as caught:
        client(web, LEGACY).version()
    assert caught.value.status == status
    assert LEGACY not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "said"),
    [("/api/projects/999/export", b"Not Found"), ("/api/tasks", b"No Project matches the given query.")],
)
def test_a_number_that_nothing_has_is_doubted_before_the_address(web, path, said):
    web.routes[path] = answers(404, b'{"detail": "%s"}' % said)
    with pytest.raises(LabelStudioError, match="are the number and LABEL_STUDIO_URL right"):
        client(web, LEGACY).call("GET", path)


def test_a_refused_personal_access_token_is_named(web):
    TokenStudio(web)
    other = jwt("refresh", 1e9, serial=5)
    with pytest.raises(LabelStudioError, match="does not accept the personal access token") as caught:
        client(web, other).version()
    assert other not in str(caught.value)


def test_nobody_there_and_no_address(web):
    web.close()
    with pytest.raises(LabelStudioError, match="cannot be reached.*LABEL_STUDIO_URL.*container"):
        client(web, LEGACY).version()
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_URL is not set"):
        LabelStudio(Settings()).version()


def test_something_else_than_json_is_said(web):
    web.routes["/api/version"] = answers(200, b"<html>")
    with pytest.raises(LabelStudioError, match="something else than JSON"):
        client(web, LEGACY).version()


def test_a_token_with_a_line_break_is_the_token(web):
    TokenStudio(web)
    assert client(web, f" {LEGACY}\n").version() == "1.23.2"


def test_netrc_does_not_replace_the_token(web, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    TokenStudio(web)
    assert client(web, LEGACY).version() == "1.23.2"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"token": 1}', b""])
def test_an_exchange_that_gives_no_token_is_said(web, body):
    web.routes["/api/token/refresh/"] = answers(200, body)
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_URL"):
        client(web, REFRESH).version()


def test_a_redirect_is_named_and_not_followed(web):
    web.routes["/api/version"] = answers(301, b"", Location="https://studio.example.com/api/version?x=secret")
    with pytest.raises(
        LabelStudioError, match="leads to https://studio.example.com/api/version: set"
    ) as caught:
        client(web, LEGACY).version()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("total", [0, 1, 100, 230, 300])
def test_pages_are_read_to_the_end_and_not_beyond(web, total):
    def tasks(handler):
        page = int(handler.path.split("page=")[1].split("&")[0])
        ids = range((page - 1) * 100, min(page * 100, total))
        if page > 1 and not ids:
            return send(handler, 404, b'{"detail": "Invalid page."}')
        return send_json(handler, {"tasks": [{"id": i} for i in ids], "total": total})

    web.routes["/api/tasks"] = tasks
    assert [task["id"] for task in client(web, LEGACY).tasks(3)] == list(range(total))


def test_tasks_come_with_their_data_as_stored(web):
    web.routes["/api/tasks/5/"] = web.routes["/api/tasks"] = answers(200, b'{"tasks": [], "total": 0}')
    client(web, LEGACY).task(5)
    list(client(web, LEGACY).tasks(3))
    assert all("resolve_uri=false" in path for path in web.paths())


def test_no_token_is_shown_anywhere(web, caplog):
    """Neither in what is printed of the client nor in what is logged at the finest level."""
    caplog.set_level(logging.DEBUG)
    studio = TokenStudio(web)
    for token in (REFRESH, LEGACY):
        studio_client = client(web, token)
        studio_client.version()
        web.routes["/api/projects"] = answers(500, b"")
        with pytest.raises(LabelStudioError) as caught:
            list(studio_client.projects())
        shown = f"{studio_client!r} {vars(caught.value)} {''.join(traceback.format_exception(caught.value))}"
        assert not any(secret in shown + caplog.text for secret in (token, *studio.issued))


def test_a_certificate_of_a_private_authority_needs_that_authority(tmp_path, monkeypatch):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = Web(tls=context)
    server.routes["/api/version"] = answers(200, b'{"release": "1.23.2"}')
    client = LabelStudio(Settings(label_studio_url=server.url, label_studio_api_key=LEGACY))
    try:
        with pytest.raises(LabelStudioError, match="unknown authority: name it in REQUESTS_CA_BUNDLE"):
            client.version()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert client.version() == "1.23.2"
    finally:
        server.close()


def test_a_proxy_of_the_environment_is_used(web, monkeypatch):
    proxy = Proxy(web.port)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    web.routes["/api/version"] = answers(200, b'{"release": "1.23.2"}')
    settings = Settings(label_studio_url="http://studio.example:8080", label_studio_api_key="a" * 40)
    try:
        assert LabelStudio(settings).version() == "1.23.2"
        assert proxy.asked == ["GET http://studio.example:8080/api/version"]
    finally:
        proxy.close()


def test_no_cookie_is_kept(web):
    web.routes["/api/version"] = answers(200, b'{"release": "1"}', Set_Cookie="sessionid=x; Path=/")
    client = LabelStudio(Settings(label_studio_url=web.url, label_studio_api_key="a" * 40))
    for _ in range(2):
        client.version()
    assert all("Cookie" not in headers for *_, headers in web.requests)


CALLS = [
    lambda made: made.version(),
    lambda made: made.users(),
    lambda made: made.project(3)["label_config"],
    lambda made: list(made.projects()),
    lambda made: made.unlabelled_tasks(3),
    lambda made: made.annotated_tasks(3),
    lambda made: made.state(3),
    lambda made: made.create_ml_backend(project=3)["id"],
]


@pytest.mark.parametrize(
    "body", ["null", "[]", "{}", '"x"', "3", "[[]]", '{"results": null, "tasks": 3}', "<html>"]
)
def test_another_service_at_its_address_is_told(web, body):
    web.otherwise = answers(200, body.encode())
    made = client(web, LEGACY)
    refused = 0
    for call in CALLS:
        try:
            call(made)
        except LabelStudioError as error:
            assert "LABEL_STUDIO_URL" in str(error)
            refused += 1
    assert refused >= len(CALLS) - 2  # a list may be empty, and a version unknown


def test_a_redirect_to_nowhere_is_told(web):
    web.otherwise = answers(302, b"", Location="http://[nowhere")
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_URL"):
        client(web, LEGACY).version()


def test_a_proxy_that_is_away_is_named(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://me:hidden@127.0.0.1:1")
    made = LabelStudio(Settings(label_studio_url="http://studio.example", label_studio_api_key=LEGACY))
    with pytest.raises(LabelStudioError, match="through the proxy .*127.0.0.1:1.*NO_PROXY") as caught:
        made.version()
    assert "hidden" not in str(caught.value)
