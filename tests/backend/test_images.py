"""The image store: every kind of address, one download for many threads, bounded memory."""

import base64
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from backend.images import ImageError, ImageStore
from backend.labelstudio import LabelStudio
from backend.settings import Settings
from tests.backend.web import Web, answers, send


def png(value: int = 7, side: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


def store(web: Web, path: str = "", **options: object) -> ImageStore:
    settings = Settings(label_studio_url=web.url + path, label_studio_api_key="ab" * 20, **options)
    return ImageStore(settings, LabelStudio(settings))


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("/data/upload/3/x-img.png", "/data/upload/3/x-img.png"),
        ("/data/local-files/?d=set1/a%20b.png", "/data/local-files/?d=set1/a%20b.png"),
        ("http://localhost:8080/data/local-files/?d=a.png", "/data/local-files/?d=a.png"),
        ("http://label-studio.example.com/data/upload/3/x.png", "/data/upload/3/x.png"),
    ],
)
@pytest.mark.parametrize("path", ["", "/label-studio"])
def test_label_studios_own_files_are_asked_of_label_studio(web, value, asked, path):
    web.routes[path + asked.split("?")[0]] = answers(200, png())
    assert store(web, path).get(value).pixels.shape == (32, 32, 3)
    assert web.paths() == [path + asked]
    assert web.requests[0][2]["Authorization"].startswith("Token ")


def test_cloud_addresses_are_presigned_by_label_studio(web):
    where = base64.urlsafe_b64encode(b"s3://bucket/a b.png").decode()
    web.routes["/tasks/12/presign/"] = answers(303, b"", Location="/bucket/a.png")
    web.routes["/bucket/a.png"] = answers(200, png())
    store(web).get("s3://bucket/a b.png", task_id=12)
    assert web.paths()[0].startswith(f"/tasks/12/presign/?fileuri={where.replace('=', '%3D')}")
    with pytest.raises(ImageError, match="no task is known"):
        store(web).get("gs://bucket/a.png")


def test_a_data_uri_needs_no_network(web):
    uri = "data:image/png;base64," + base64.b64encode(png(9)).decode()
    assert (store(web).get(uri).pixels == 9).all()
    assert web.requests == []


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:image/png;base64,####", "data:,hello"])
def test_a_broken_data_uri_is_refused(web, uri):
    with pytest.raises(ImageError):
        store(web).get(uri)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "LABEL_STUDIO_API_KEY"),
        (403, "member of the project"),
        (404, "storage synced"),
        (500, "answered 500"),
    ],
)
def test_refusals_say_what_to_change(web, status, message):
    web.routes["/data/upload/1/a.png"] = answers(status, b"")
    with pytest.raises(ImageError, match=message):
        store(web).get("/data/upload/1/a.png")


def test_without_label_studio_its_paths_cannot_be_resolved():
    settings = Settings()
    with pytest.raises(ImageError, match="LABEL_STUDIO_URL is not set"):
        ImageStore(settings, LabelStudio(settings)).get("/data/upload/1/a.png")


def test_relative_names_and_other_hosts_are_refused(web):
    with pytest.raises(ImageError, match="neither a path"):
        store(web).get("a.png")
    with pytest.raises(ImageError, match="CLICKMASK_IMAGE_HOSTS"):
        store(web).get("http://images.example.com/a.png?signature=abc")


def test_a_message_never_shows_a_signature(web):
    with pytest.raises(ImageError) as caught:
        store(web).get("http://images.example.com/a.png?signature=abc")
    assert "abc" not in str(caught.value)


def test_eight_threads_share_one_download(web):
    def slow(handler):
        time.sleep(0.3)
        send(handler, 200, png())

    web.routes["/data/upload/1/a.png"] = slow
    images, found = store(web), []
    threads = [
        threading.Thread(target=lambda: found.append(images.get("/data/upload/1/a.png"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(web.requests) == 1
    assert len({id(picture.pixels) for picture in found}) == 1
    assert images.stats()["misses"] == 1


def test_a_failure_is_not_remembered(web):
    images = store(web)
    with pytest.raises(ImageError):
        images.get("/data/upload/1/a.png")
    web.routes["/data/upload/1/a.png"] = answers(200, png())
    assert images.get("/data/upload/1/a.png").pixels.shape == (32, 32, 3)


def test_the_cache_holds_no_more_than_it_may_and_forgets_the_oldest(web):
    side = 400  # 480,000 bytes each
    for name in "abc":
        web.routes[f"/data/upload/1/{name}.png"] = answers(200, png(side=side))
    images = store(web, image_cache_mb=1)
    for name in "abac":
        images.get(f"/data/upload/1/{name}.png")
    assert images.stats()["bytes"] == 2 * side * side * 3
    images.get("/data/upload/1/a.png")
    images.get("/data/upload/1/b.png")
    assert [path[-5] for path in web.paths()] == ["a", "b", "c", "b"]


def test_prefetch_fills_the_cache_and_swallows_errors(web, caplog):
    web.routes["/data/upload/1/a.png"] = answers(200, png())
    images = store(web)
    images.prefetch("/data/upload/1/missing.png", 4)
    images.prefetch("/data/upload/1/a.png", 4)
    limit = time.monotonic() + 10
    while images.stats()["images"] == 0 and time.monotonic() < limit:
        time.sleep(0.01)
    images.get("/data/upload/1/a.png")
    assert images.stats()["hits"] == 1


def test_the_digest_tells_pixels_apart_not_addresses(web):
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        web.routes[f"/data/upload/1/{name}.png"] = answers(200, png(value))
    a, b, c = (store(web).get(f"/data/upload/1/{name}.png").digest for name in "abc")
    assert a == b != c
