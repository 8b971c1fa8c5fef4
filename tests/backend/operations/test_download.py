"""Downloads from a real server: complete, bounded, checked."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from backend.operations.download import DownloadError, download
from tests.backend.http_server import Web, answers

BODY = bytes(range(256)) * 12000  # 3 MB: several pieces
DIGEST = hashlib.sha256(BODY).hexdigest()
LIMIT = 1 << 24


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    server.routes["/file"] = answers(200, BODY)
    yield server
    server.close()


def test_a_whole_file(web: Web, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    digest = download(f"{web.url}/file", tmp_path / "x", LIMIT, DIGEST.upper(), lambda *now: seen.append(now))
    assert digest == DIGEST
    assert (tmp_path / "x").read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY)) and len(seen) > 1
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_redirects_and_compression(web: Web, tmp_path: Path) -> None:
    web.routes["/packed"] = answers(200, gzip.compress(BODY), Content_Encoding="gzip")
    web.routes["/moved"] = answers(302, b"", Location="/packed")
    assert download(f"{web.url}/moved", tmp_path / "x", LIMIT) == DIGEST


def test_another_file_than_expected(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"has sha256 {DIGEST}, expected {'0' * 64}: do not use"):
        download(f"{web.url}/file", tmp_path / "x", LIMIT, "0" * 64)


def test_an_announced_size_is_refused_before_the_body(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="larger than 1 MB: raise --max-mb"):
        download(f"{web.url}/file", tmp_path / "x", 1 << 20)
    assert (tmp_path / "x").stat().st_size == 0


def test_a_size_that_is_not_announced_is_bounded_too(web: Web, tmp_path: Path) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(64):
                handler.wfile.write(BODY)
        except OSError:  # the client has seen enough
            pass

    web.routes["/endless"] = endless
    with pytest.raises(DownloadError, match="larger than 8 MB"):
        download(f"{web.url}/endless", tmp_path / "x", 8 << 20)
    assert (tmp_path / "x").stat().st_size <= 8 << 20


def test_a_small_file_may_not_unpack_to_a_large_one(web: Web, tmp_path: Path) -> None:
    web.routes["/bomb"] = answers(200, gzip.compress(bytes(20 << 20)), Content_Encoding="gzip")
    with pytest.raises(DownloadError, match="larger than 4 MB"):
        download(f"{web.url}/bomb", tmp_path / "x", 4 << 20)


def test_a_broken_off_transfer(web: Web, tmp_path: Path) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        handler.wfile.write(BODY[: len(BODY) // 2])

    web.routes["/half"] = half
    with pytest.raises(DownloadError, match="/half (broke off|cannot be fetched)"):
        download(f"{web.url}/half", tmp_path / "x", LIMIT)


def test_no_such_file_and_no_such_server(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="/gone answers 404"):
        download(f"{web.url}/gone", tmp_path / "x", LIMIT)
    web.close()
    with pytest.raises(DownloadError, match=r"/file cannot be fetched \(ConnectionError\): check address"):
        download(f"{web.url}/file", tmp_path / "x", LIMIT)


@pytest.mark.parametrize("address", ["http://[::1", f"http://{'a' * 70}.example/", "http://\u2100/"])
def test_what_is_no_address_is_said(web: Web, address: str, tmp_path: Path) -> None:
    web.routes["/moved"] = answers(302, b"", Location="http://[::1")
    for url in (address, f"{web.url}/moved"):
        with pytest.raises(DownloadError, match="is no address"):
            download(url, tmp_path / "x", LIMIT)


def test_a_proxy_in_the_way_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:1")
    with pytest.raises(
        DownloadError, match=r"asked through the proxy http://\*\*\*@127\.0\.0\.1:1 of HTTP_PROXY"
    ):
        download("http://weights.example/file", tmp_path / "x", LIMIT)
