"""The guarded fetch, against real servers on loopback."""

import time

import pytest

from backend import fetch as module
from backend.fetch import FetchError, Guard, fetch, origin
from tests.backend.web import Web, answers


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


@pytest.fixture
def elsewhere():
    server = Web()
    yield server
    server.close()


def trusting(web: Web) -> Guard:
    return Guard(trusted=origin(web.url))


def token() -> dict[str, str]:
    return {"Authorization": "Token secret"}


def test_a_file_of_label_studio_is_loaded_with_the_token(web):
    web.routes["/data/upload/1/a b.png"] = web.routes["/data/upload/1/a%20b.png"] = answers(200, b"image")
    assert fetch(f"{web.url}/data/upload/1/a%20b.png?x=1", trusting(web), token) == b"image"
    _, path, headers = web.requests[0]
    assert path == "/data/upload/1/a%20b.png?x=1"
    assert headers["Authorization"] == "Token secret"
    assert headers["Host"] == f"127.0.0.1:{web.port}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com/a.png", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("http:///a.png", "no host"),
        ("http://user:pw@example.com/a.png", "user or password"),
        ("http://example.com:99999/a", "malformed"),
        ("http://[::1/a.png", "malformed"),
    ],
)
def test_odd_addresses_are_refused(url, message):
    with pytest.raises(FetchError, match=message):
        fetch(url, Guard(hosts=("*",)))


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "224.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_public_name_with_a_private_address_is_refused(address):
    guard = Guard(hosts=("*",), resolver=lambda host, port: ["93.184.216.34", address])
    with pytest.raises(FetchError, match="private address.*CLICKMASK_IMAGE_HOSTS"):
        guard.addresses(origin("http://images.example.com/a.png"))


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "localhost", "[::1]"])
def test_loopback_in_any_spelling_is_refused(host, web):
    with pytest.raises(FetchError, match="private address"):
        fetch(f"http://{host}:{web.port}/a.png", Guard(hosts=("*",)))
    assert web.requests == []


def test_hosts_must_be_listed(web):
    with pytest.raises(FetchError, match="not allowed.*CLICKMASK_IMAGE_HOSTS"):
        fetch(f"{web.url}/a.png", Guard())
    web.routes["/a.png"] = answers(200, b"x")
    assert fetch(f"{web.url}/a.png", Guard(hosts=("127.0.0.1",)), token) == b"x"
    assert "Authorization" not in web.requests[-1][2]


def test_another_port_of_label_studios_host_is_not_label_studio(web, elsewhere):
    with pytest.raises(FetchError, match="not allowed"):
        fetch(f"{elsewhere.url}/a.png", trusting(web), token)
    assert elsewhere.requests == []


def test_the_connection_goes_to_the_address_that_was_judged(web):
    web.routes["/a.png"] = answers(200, b"x")
    asked = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.9.9.9"]  # a name that changes its address

    guard = Guard(hosts=("photos.test",), resolver=resolver)
    assert fetch(f"http://photos.test:{web.port}/a.png", guard) == b"x"
    assert asked == ["photos.test"]
    assert web.requests[0][2]["Host"] == f"photos.test:{web.port}"


def test_a_redirect_to_a_private_host_is_refused_and_never_connected(web, elsewhere):
    web.routes["/presign"] = answers(302, b"", Location=f"{elsewhere.url}/secret")
    with pytest.raises(FetchError, match="private address"):
        fetch(f"{web.url}/presign", trusting(web), token)
    assert elsewhere.requests == []


def test_a_redirect_to_a_listed_host_is_followed_without_the_token(web, elsewhere):
    web.routes["/presign"] = answers(303, b"", Location=f"http://localhost:{elsewhere.port}/a.png?sig=1")
    elsewhere.routes["/a.png"] = answers(200, b"bucket")
    guard = Guard(trusted=origin(web.url), hosts=("localhost",))
    assert fetch(f"{web.url}/presign", guard, token) == b"bucket"
    assert "Authorization" in web.requests[0][2]
    assert "Authorization" not in elsewhere.requests[0][2]


def test_a_trusted_redirect_may_name_a_public_host_but_that_one_may_not_go_on():
    guard = Guard(trusted=("http", "ls.test", 80), resolver=lambda host, port: ["93.184.216.34"])
    assert guard.addresses(("https", "bucket.example.com", 443), redirected_by_trusted=True)
    with pytest.raises(FetchError, match="not allowed"):
        guard.addresses(("https", "bucket.example.com", 443))


def test_endless_redirects_end(web):
    web.routes["/again"] = answers(302, b"", Location="/again")
    with pytest.raises(FetchError, match="more than 3 redirects"):
        fetch(f"{web.url}/again", trusting(web))
    assert len(web.requests) == 4


def test_too_much_is_refused_announced_or_not(web):
    def unannounced(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x" * 1000)

    web.routes["/announced"] = answers(200, b"x" * 2000)
    web.routes["/streamed"] = unannounced
    for path in ("/announced", "/streamed"):
        with pytest.raises(FetchError, match="CLICKMASK_MAX_IMAGE_MB"):
            fetch(web.url + path, trusting(web), max_bytes=1500)


def test_a_dripping_server_runs_into_the_deadline(web, monkeypatch):
    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(50):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    web.routes["/drip"] = drip
    monkeypatch.setattr(module, "TOTAL_S", 0.4)
    with pytest.raises(FetchError, match=r"longer than 0\.4 s|broke off"):
        fetch(f"{web.url}/drip", trusting(web))


def test_a_closed_port_is_said(web):
    url = web.url
    web.close()
    with pytest.raises(FetchError, match="did not answer: the connection failed"):
        fetch(f"{url}/a.png", Guard(trusted=origin(url)))


def test_the_status_comes_with_the_error(web):
    with pytest.raises(FetchError) as caught:
        fetch(f"{web.url}/missing", trusting(web), token)
    assert caught.value.status == 404
    assert "secret" not in str(caught.value)
