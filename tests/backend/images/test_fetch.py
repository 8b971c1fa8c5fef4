"""The guarded fetch, against real servers on loopback."""

import gzip
import socket
import time

import pytest

from backend.images import fetch as module
from backend.images.fetch import fetch
from backend.images.ssrf import FetchError, Guard, origin
from tests.backend.http_server import Web, answers, send
from tests.backend.proxy_server import Proxy


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


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("/images\\cats\\a.png?d=x", "/images/cats/a.png?d=x"),
        ("\\images\\a.png", "/images/a.png"),
        ("/50%/gr%C3%BCn.png", "/50%25/gr%C3%BCn.png"),
        ("/a.png?q=50%&r=%41", "/a.png?q=50%25&r=%41"),
        ("/a%20b.png", "/a%20b.png"),
    ],
)
def test_addresses_are_taken_as_browsers_take_them(web, written, sent):
    web.otherwise = answers(200, b"image")
    assert fetch(web.url + written, trusting(web)) == b"image"
    assert web.paths() == [sent]


def test_a_redirect_may_be_written_in_utf_8(web):
    location = "/grün.png".encode().decode("latin-1")  # as a header is sent
    web.routes["/a.png"] = answers(302, b"", Location=location)
    web.routes["/gr%C3%BCn.png"] = answers(200, b"image")
    assert fetch(f"{web.url}/a.png", trusting(web)) == b"image"


def test_backslashes_hide_no_host_from_the_guard(web):
    with pytest.raises(FetchError, match="not allowed"):
        fetch("http://10.0.0.1\\@127.0.0.1/a.png", Guard(hosts=("127.0.0.1",)))
    with pytest.raises(FetchError):
        fetch("http:\\\\10.0.0.1\\a.png", Guard(hosts=("127.0.0.1",)))


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


def test_redirects_share_one_deadline(web, monkeypatch):
    def slow(handler):
        time.sleep(0.2)
        send(handler, 302, b"", Location="/again")

    web.routes["/again"] = slow
    monkeypatch.setattr(module, "TOTAL_S", 0.3)
    with pytest.raises(FetchError, match=r"longer than 0\.3 s"):
        fetch(f"{web.url}/again", trusting(web))


def test_a_silent_server_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "READ_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/a.png"
        with pytest.raises(FetchError, match="did not answer: time ran out"):
            fetch(url, Guard(trusted=origin(url)))


def test_less_than_announced_is_no_file(web):
    def cut_short(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 500)

    web.routes["/short"] = cut_short
    with pytest.raises(FetchError, match="broke off: the connection failed"):
        fetch(f"{web.url}/short", trusting(web))


def test_a_compressed_answer_counts_unpacked(web):
    web.routes["/small"] = answers(200, gzip.compress(b"image"), Content_Encoding="gzip")
    web.routes["/bomb"] = answers(200, gzip.compress(bytes(50 << 20)), Content_Encoding="gzip")
    assert fetch(f"{web.url}/small", trusting(web)) == b"image"
    with pytest.raises(FetchError, match="larger than 1 MB"):
        fetch(f"{web.url}/bomb", trusting(web), max_bytes=1 << 20)


def test_label_studio_that_moved_to_https_is_named(web):
    web.routes["/a.png"] = answers(301, b"", Location=f"https://127.0.0.1:{web.port}/a.png")
    with pytest.raises(FetchError, match=f"moved to https://127.0.0.1:{web.port}: set LABEL_STUDIO_URL"):
        fetch(f"{web.url}/a.png", trusting(web), token)
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://[", "http://a@b/", "//a..b/", "gopher://x/"]
)
def test_a_redirect_to_an_odd_address_is_refused(web, location):
    web.routes["/a.png"] = answers(302, b"", Location=location)
    with pytest.raises(FetchError):
        fetch(f"{web.url}/a.png", trusting(web), token)


def test_the_next_address_is_tried_when_one_is_closed(web):
    web.routes["/a.png"] = answers(200, b"x")
    guard = Guard(hosts=("photos.test",), resolver=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    assert fetch(f"http://photos.test:{web.port}/a.png", guard) == b"x"


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


@pytest.fixture
def proxy(web, monkeypatch):
    server = Proxy(web.port)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, server.url)
    yield server
    server.close()


def unknown(host: str, port: int) -> list[str]:
    raise OSError("nobody knows this name here")


def test_a_proxy_of_the_environment_is_used_with_names_that_only_it_knows(web, proxy):
    web.routes["/a.png"] = answers(200, b"x")
    studio = Guard(trusted=("http", "studio.example", 8080), resolver=unknown)
    assert fetch("http://studio.example:8080/a.png?y=1", studio, token) == b"x"
    assert proxy.asked == ["GET http://studio.example:8080/a.png?y=1"]
    assert web.requests[-1][2]["Authorization"] == "Token secret"
    assert web.requests[-1][2]["Host"] == "studio.example:8080"
    listed = Guard(hosts=("photos.example",), resolver=unknown)
    assert fetch("http://photos.example/a.png", listed, token) == b"x"
    assert "Authorization" not in web.requests[-1][2]


def test_hosts_are_judged_before_a_proxy_is_asked(web, proxy):
    private = Guard(hosts=("*",), resolver=lambda *_: ["10.0.0.1"])
    for guard, reason in ((Guard(), "not allowed"), (private, "private address")):
        with pytest.raises(FetchError, match=reason):
            fetch("http://photos.example/a.png", guard)
    assert proxy.asked == []
    web.routes["/a.png"] = answers(200, b"x")
    assert fetch("http://photos.example/a.png", Guard(hosts=("*",), resolver=lambda *_: ["8.8.8.8"])) == b"x"


def test_redirects_through_a_proxy_are_judged_anew(web, proxy):
    web.routes["/a.png"] = answers(302, b"", Location="http://elsewhere.example/b.png")
    with pytest.raises(FetchError, match="'elsewhere.example' is not allowed"):
        fetch("http://photos.example/a.png", Guard(hosts=("photos.example",)))


def test_this_machine_is_asked_directly(web, proxy):
    web.routes["/a.png"] = answers(200, b"x")
    assert fetch(f"{web.url}/a.png", trusting(web)) == b"x"
    assert proxy.asked == []


def test_a_proxy_that_does_not_answer_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://ann:secret@127.0.0.1:1")
    with pytest.raises(
        FetchError, match="through the proxy http://.*127.0.0.1:1 of HTTP_PROXY.*NO_PROXY"
    ) as error:
        fetch("http://photos.example/a.png", Guard(hosts=("photos.example",)))
    assert "secret" not in str(error.value)
