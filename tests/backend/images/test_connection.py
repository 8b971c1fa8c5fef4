"""Connections of the guarded fetch: deadlines, certificates, tunnels."""

import base64
import contextlib
import socket
import ssl
import time

import pytest
import trustme

from backend.images import fetch as module
from backend.images.fetch import fetch
from backend.images.ssrf import FetchError, Guard, origin
from tests.backend.http_server import Web, answers
from tests.backend.proxy_server import Proxy


def trusting(web: Web) -> Guard:
    return Guard(trusted=origin(web.url))


def drip(handler, *head: str) -> None:
    """Send the head, then a byte now and then for as long as anybody listens; never a pause that is a time-out."""
    with contextlib.suppress(OSError):
        for line in head:
            handler.wfile.write(line.encode() + b"\r\n")
        while True:
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.02)


@pytest.mark.parametrize(
    "head",
    [
        ["HTTP/1.0 200 OK", "Content-Length: 1000000", ""],
        ["HTTP/1.0 200 OK", ""],  # the end of the connection is the end of the file
        ["HTTP/1.0 200 OK", "Content-Encoding: gzip", ""],
        ["HTTP/1.0 200 OK"],  # endless headers
        [],
    ],
)
def test_a_dripping_server_runs_into_the_deadline(web, monkeypatch, head):
    web.routes["/drip"] = lambda handler: drip(handler, *head)
    monkeypatch.setattr(module, "TOTAL_S", 0.3)
    with pytest.raises(FetchError, match=r"longer than 0\.3 s|broke off"):
        fetch(f"{web.url}/drip", trusting(web))


class TestTls:
    """The name is checked against the certificate though the connection is made to an address."""

    @pytest.fixture
    def authority(self, tmp_path, monkeypatch):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        return authority

    @pytest.fixture
    def serve(self, authority):
        servers = []

        def start(*names: str) -> Web:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(*names).configure_cert(context)
            servers.append(Web(tls=context))
            servers[-1].routes["/a.png"] = answers(200, b"image")
            return servers[-1]

        yield start
        for server in servers:
            server.close()

    def get(self, web: Web, host: str) -> bytes:
        guard = Guard(hosts=(host,), resolver=lambda name, port: ["127.0.0.1"])
        return fetch(f"https://{host}:{web.port}/a.png", guard)

    def test_a_certificate_for_the_name_is_good(self, serve):
        web = serve("photos.test")
        assert self.get(web, "photos.test") == b"image"
        assert web.requests[0][2]["Host"] == f"photos.test:{web.port}"

    def test_a_certificate_for_an_address_is_good_for_the_address(self, serve):
        assert self.get(serve("127.0.0.1"), "127.0.0.1") == b"image"

    def test_a_certificate_for_the_address_is_not_good_for_the_name(self, serve):
        web = serve("127.0.0.1", "others.test")
        with pytest.raises(FetchError, match="certificate is for another name"):
            self.get(web, "photos.test")
        assert web.requests == []

    def test_an_unknown_authority_is_refused(self, serve, monkeypatch):
        web = serve("photos.test")
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(FetchError, match="unknown authority"):
            self.get(web, "photos.test")

    def test_a_drip_inside_tls_runs_into_the_deadline(self, serve, monkeypatch):
        web = serve("photos.test")
        web.routes["/a.png"] = lambda handler: drip(handler, "HTTP/1.0 200 OK", "")
        monkeypatch.setattr(module, "TOTAL_S", 0.5)
        with pytest.raises(FetchError, match=r"longer than 0\.5 s"):
            self.get(web, "photos.test")

    def test_a_handshake_that_never_ends_is_ended(self, authority, monkeypatch):
        monkeypatch.setattr(module, "TOTAL_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"https://photos.test:{mute.getsockname()[1]}/a.png"
            guard = Guard(hosts=("photos.test",), resolver=lambda name, port: ["127.0.0.1"])
            with pytest.raises(FetchError, match=r"longer than 0\.2 s|time ran out"):
                fetch(url, guard)


def test_ipv6_is_connected_and_named_in_brackets():
    try:
        web = Web("::1")
    except OSError:
        pytest.skip("no IPv6 on this machine's loopback")
    web.routes["/a.png"] = answers(200, b"x")
    assert fetch(f"{web.url}/a.png", trusting(web)) == b"x"
    assert web.requests[0][2]["Host"] == f"[::1]:{web.port}"
    web.close()


def unknown(host: str, port: int) -> list[str]:
    raise OSError("nobody knows this name here")


def test_https_goes_through_a_tunnel_with_the_proxys_account(monkeypatch, tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("studio.example").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    web = Web(tls=context)
    proxy = Proxy(web.port)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//ann:p%40ss@"))
    try:
        web.routes["/a.png"] = answers(200, b"x")
        guard = Guard(hosts=("studio.example",), resolver=unknown)
        assert fetch("https://studio.example/a.png", guard) == b"x"
        assert proxy.asked == ["CONNECT studio.example:443"]
        assert proxy.accounts == ["Basic " + base64.b64encode(b"ann:p@ss").decode()]
    finally:
        proxy.close()
        web.close()
