"""Addresses of images: which of them are Label Studio's, and what is shown of them in messages."""

from __future__ import annotations

import base64

import pytest

from backend.images.address import Addresses, ImageError, is_file, is_in_bucket, shown
from backend.images.ssrf import Guard, origin

STUDIO = "http://studio:8080"


def resolve(url: str, task: int | None = None, studio: str = STUDIO, hosts: tuple[str, ...] = ()) -> str:
    return Addresses(studio, Guard(origin(studio) if studio else None, hosts)).resolve(url, task)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/data/upload/3/a.png", "/data/upload/3/a.png"),
        ("/data/local-files/?d=a.png", "/data/local-files/?d=a.png"),
        ("http://localhost:8080/data/upload/3/a.png", "/data/upload/3/a.png"),
        ("http://localhost:8080/label-studio/data/upload/3/a.png", "/data/upload/3/a.png"),
        ("https://elsewhere.example/tasks/12/resolve/?fileuri=x", "/tasks/12/resolve/?fileuri=x"),
    ],
)
@pytest.mark.parametrize("studio", [STUDIO, f"{STUDIO}/label-studio"])
def test_files_of_label_studio_lead_to_its_address_by_whatever_name(url: str, path: str, studio: str) -> None:
    assert resolve(url, studio=studio) == studio + path


@pytest.mark.parametrize(
    "url",
    [
        "/api/projects/1/export",
        "/user/login",
        "/data/upload/../../api/users",
        "/data/upload/%2e%2e/%2E%2E/api/users",
        "/data/upload/..%2f..%2Fapi/users",
        "/data/upload/\\..\\..\\api",
        "/",
    ],
)
def test_nothing_but_files_is_asked_of_label_studio(url: str) -> None:
    with pytest.raises(ImageError, match="serves no files there"):
        resolve(url)


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("https://cdn.example/x/data/upload/1/a.png", "https://cdn.example/x/data/upload/1/a.png"),
        ("http://another-name/data/upload/1/a.png", "http://studio:8080/data/upload/1/a.png"),
        ("/static/samples/a.jpg", "http://studio:8080/static/samples/a.jpg"),
    ],
)
def test_where_any_host_may_be_asked_a_path_is_label_studios_from_its_beginning(
    url: str, resolved: str
) -> None:
    assert resolve(url, hosts=("*",)) == resolved


@pytest.mark.parametrize(("studio", "scheme"), [("https://studio", "https"), (STUDIO, "http"), ("", "https")])
def test_an_address_without_a_scheme_has_that_of_label_studio(studio: str, scheme: str) -> None:
    assert resolve("//photos.example/a.png", studio=studio) == f"{scheme}://photos.example/a.png"


@pytest.mark.parametrize(
    ("path", "prefix", "file"),
    [
        ("/data/upload/1/a.png", "", True),
        ("/studio/tasks/1/resolve/", "/studio", True),
        ("/api/projects/1/export", "", False),
        ("/api/data/upload/1/a.png", "", False),
        ("/data/upload/1/a.png", "/studio", True),
        ("/data/upload/..%2f..%2fapi", "", False),
    ],
)
def test_files_of_label_studio_are_told_by_their_path(path: str, prefix: str, file: bool) -> None:
    assert is_file(path, prefix) is file


def test_a_listed_host_keeps_its_address() -> None:
    url = "http://photos.example/data/upload/1/a.png"
    assert resolve(url, hosts=("photos.example",)) == url


@pytest.mark.parametrize("url", ["s3://bucket/a b.png", "gs://bucket/a.png", "azure-blob://bucket/a.png"])
def test_addresses_in_buckets_are_presigned_for_their_task(url: str) -> None:
    where = base64.urlsafe_b64encode(url.encode()).decode().replace("=", "%3D")
    assert resolve(url, 12) == f"{STUDIO}/tasks/12/presign/?fileuri={where}"
    with pytest.raises(ImageError, match="no task is known"):
        resolve(url)


@pytest.mark.parametrize(
    ("url", "complaint"), [("a.png", "neither a path"), ("http://[", "no address of an image")]
)
def test_what_is_no_address_is_told(url: str, complaint: str) -> None:
    with pytest.raises(ImageError, match=complaint):
        resolve(url)


def test_without_label_studio_its_files_have_no_address() -> None:
    for url in ("/data/upload/1/a.png", "s3://bucket/a.png"):
        with pytest.raises(ImageError, match="LABEL_STUDIO_URL is not set"):
            resolve(url, 1, studio="")


def test_buckets_are_told_from_other_addresses() -> None:
    assert is_in_bucket("s3://bucket/a.png") and is_in_bucket("S3://bucket/a.png")
    assert not is_in_bucket("/s3://bucket") and not is_in_bucket("http://bucket/a.png")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("data:image/png;base64,AAAA", "data: URI"),
        ("DATA:image/png;base64,AAAA", "data: URI"),
        ("http://user:secret@images.example/a.png#token", "http://***@images.example/a.png"),
        ("/data/local-files/?d=set1/a.png&token=abc", "/data/local-files/?d=set1/a.png"),
        ("http://images.example/a.png?signature=abc", "http://images.example/a.png"),
        ("/data/local-files/?d=set1/a.png", "/data/local-files/?d=set1/a.png"),
        ("/x/\u2028y", "/x/\\u2028y"),
        ("/" + "a" * 500, "/" + "a" * 119),
    ],
)
def test_messages_show_neither_data_nor_signatures(url: str, text: str) -> None:
    assert shown(url) == text
