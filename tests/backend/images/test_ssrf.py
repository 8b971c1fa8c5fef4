"""Which addresses images may be loaded from."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.images.ssrf import FetchError, Guard, netloc, origin

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]
PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "240.0.0.1",
    "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "fd00:ec2::254", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:4136::1",
]  # fmt: skip


def resolving(*addresses: str):
    return lambda host, port: list(addresses)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com/a.png", "http:// or https://, not 'ftp'"),
        ("file:///etc/passwd", "http:// or https://, not 'file'"),
        ("//example.com/a.png", "not 'nothing'"),
        ("http:///a.png", "no host"),
        ("http://user:pw@example.com/a.png", "user or password"),
        ("http://@example.com/a.png", "user or password"),
        ("http://example.com\\@10.0.0.1/a.png", "user or password"),
        ("http://example.com:99999/a", "malformed"),
        ("http://[::1/a.png", "malformed"),
        ("http://a..b/a.png", "malformed"),
        ("http://exa mple.com/", "malformed.*'exa mple.com' is no host"),
        ("http://" + "a" * 70 + ".com/", "malformed"),
    ],
)
def test_odd_addresses_are_refused(url, message):
    with pytest.raises(FetchError, match=message):
        origin(url)


@pytest.mark.parametrize(
    ("url", "expected", "host_header"),
    [
        ("HTTP://Example.COM/a", ("http", "example.com", 80), "example.com"),
        ("https://example.com:443/a", ("https", "example.com", 443), "example.com"),
        ("http://example.com:443/a", ("http", "example.com", 443), "example.com:443"),
        ("http://minio_1:9000/a", ("http", "minio_1", 9000), "minio_1:9000"),
        ("http://[FD00::1]/a", ("http", "fd00::1", 80), "[fd00::1]"),
        ("https://bücher.example/a", ("https", "xn--bcher-kva.example", 443), "xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url, expected, host_header):
    assert origin(url) == expected
    assert netloc(expected) == host_header


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://", "http://[", "http://a@", "//"]))
def test_any_text_is_an_origin_or_refused(text, start):
    try:
        scheme, host, port = origin(start + text)
    except FetchError:
        return
    assert scheme in ("http", "https")
    assert host.isascii() and host.isprintable() and " " not in host
    assert 0 < port < 65536


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("redirected", [False, True])
def test_a_public_name_with_a_private_address_is_refused(address, redirected):
    guard = Guard(hosts=("*",), resolver=resolving(PUBLIC[0], address))
    with pytest.raises(FetchError, match="private address.*CLICKMASK_IMAGE_HOSTS"):
        guard.addresses(origin("http://images.example.com/a.png"), redirected)


def test_the_star_admits_public_addresses():
    guard = Guard(hosts=("*",), resolver=resolving(*PUBLIC))
    assert guard.addresses(origin("http://images.example.com/a.png")) == PUBLIC


def test_label_studio_and_listed_hosts_may_be_private():
    guard = Guard(("http", "studio", 8080), ("minio", "10.0.0.9:9000", "[fd00::2]:81"), resolving("10.0.0.7"))
    for url in ("http://studio:8080/", "https://minio/", "http://minio:9000/", "http://10.0.0.9:9000/"):
        assert guard.addresses(origin(url)) == ["10.0.0.7"]
    assert guard.lists(origin("http://[fd00::2]:81/"))
    for url in ("https://studio/", "http://studio/", "http://10.0.0.9/", "http://minio.evil.test/"):
        with pytest.raises(FetchError, match="not allowed"):
            guard.addresses(origin(url))


def test_a_trusted_redirect_may_name_a_public_host_but_that_one_may_not_go_on():
    guard = Guard(trusted=("http", "ls.test", 80), resolver=resolving(*PUBLIC))
    assert guard.addresses(("https", "bucket.example.com", 443), redirected_by_trusted=True)
    with pytest.raises(FetchError, match="not allowed"):
        guard.addresses(("https", "bucket.example.com", 443))


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")]
)
def test_an_unknown_host_is_said(error):
    def failing(host, port):
        raise error

    with pytest.raises(FetchError, match="'nowhere.test' is not known here: (Name|label)"):
        Guard(hosts=("*",), resolver=failing).addresses(origin("http://nowhere.test/"))


def test_a_host_without_address_is_said():
    with pytest.raises(FetchError, match="has no address"):
        Guard(hosts=("*",), resolver=resolving()).addresses(origin("http://nowhere.test/"))
