"""The image store: every kind of address, one download for many threads, bounded memory."""

import base64
import io
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from PIL import Image

from backend.images.address import ImageError
from backend.images.store import ImageStore
from backend.label_studio.client import LabelStudio
from backend.settings import Settings
from tests.backend.http_server import Web, answers, send
from tests.backend.token_studio import REFRESH, TokenStudio
from tests.waiting import until

CLOSED = Settings(label_studio_url="http://127.0.0.1:1", label_studio_api_key="ab" * 20)
NOBODY = ImageStore(CLOSED, LabelStudio(CLOSED))


def png(value: int = 7, side: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


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
        ("http://localhost:8080/label-studio/data/upload/3/x.png", "/data/upload/3/x.png"),
        ("/label-studio/data/upload/3/x.png", "/data/upload/3/x.png"),
        ("http://localhost:8080/tasks/12/resolve/?fileuri=czM6", "/tasks/12/resolve/?fileuri=czM6"),
        ("http://localhost:8080/projects/3/file-proxy/?url=aHR0", "/projects/3/file-proxy/?url=aHR0"),
        ("/static/samples/sample.png", "/static/samples/sample.png"),
    ],
)
@pytest.mark.parametrize("path", ["", "/label-studio"])
def test_label_studios_own_files_are_asked_of_label_studio(web, value, asked, path):
    web.routes[path + asked.split("?")[0]] = answers(200, png())
    assert store(web, path).get(value).pixels.shape == (32, 32, 3)
    assert web.paths() == [path + asked]
    assert web.requests[0][2]["Authorization"].startswith("Token ")


def test_the_sub_path_of_label_studio_is_not_doubled(web):
    web.routes["/label-studio/static/a.png"] = answers(200, png())
    images = store(web, "/label-studio")
    assert images.get("/label-studio/static/a.png") and images.get("/static/a.png")
    assert web.paths() == ["/label-studio/static/a.png"] * 2


def test_a_listed_host_is_asked_itself_and_sees_no_token(web, elsewhere):
    elsewhere.routes["/data/upload/1/a.png"] = answers(200, png())
    store(web, image_hosts=(f"127.0.0.1:{elsewhere.port}",)).get(f"{elsewhere.url}/data/upload/1/a.png")
    assert web.requests == []
    assert "Authorization" not in elsewhere.requests[0][2]


def test_cloud_addresses_are_presigned_by_label_studio(web):
    where = base64.urlsafe_b64encode(b"s3://bucket/a b.png").decode()
    web.routes["/tasks/12/presign/"] = answers(303, b"", Location="/bucket/a.png")
    web.routes["/bucket/a.png"] = answers(200, png())
    store(web).get("s3://bucket/a b.png", task_id=12)
    assert web.paths()[0].startswith(f"/tasks/12/presign/?fileuri={where.replace('=', '%3D')}")
    with pytest.raises(ImageError, match="no task is known"):
        store(web).get("gs://bucket/a.png")


def test_one_address_in_buckets_of_two_projects_may_be_two_images(web):
    for task, value in ((12, 1), (13, 2)):
        web.routes[f"/tasks/{task}/presign/"] = answers(200, png(value))
    images = store(web)
    assert [int(images.get("s3://bucket/a.png", task).pixels[0, 0, 0]) for task in (12, 13, 12)] == [1, 2, 1]
    assert len(web.requests) == 2


def test_a_password_in_the_address_of_label_studio_is_refused():
    settings = Settings(label_studio_url="http://someone:hidden@studio")
    with pytest.raises(ImageError, match="LABEL_STUDIO_URL cannot be used: .*password") as caught:
        ImageStore(settings, LabelStudio(settings))
    assert "hidden" not in str(caught.value)


def test_a_data_uri_needs_no_network(web):
    uri = "data:image/png;base64," + base64.b64encode(png(9)).decode()
    lines = uri.replace("A", "A\n").rstrip("=").replace("data:image/png;base64", "DATA:image/png;BASE64")
    for text in (uri, lines, f"{uri}#page=1"):
        assert (store(web).get(text).pixels == 9).all()
    assert web.requests == []


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:image/png;base64,####", "data:,hello"])
def test_a_broken_data_uri_is_refused(web, uri):
    with pytest.raises(ImageError):
        store(web).get(uri)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "LABEL_STUDIO_API_KEY"),
        (403, "member of the project.*LOCAL_FILES_SERVING"),
        (404, "storage synced.*LABEL_STUDIO_URL"),
        (500, "the file still there"),
    ],
)
def test_refusals_say_what_to_change(web, status, message):
    web.routes["/data/upload/1/a.png"] = answers(status, b"")
    with pytest.raises(ImageError, match=message):
        store(web).get("/data/upload/1/a.png")


@pytest.mark.parametrize(
    ("status", "message"), [(401, "no access"), (403, "signed address"), (404, "no such file"), (500, "")]
)
def test_refusals_of_others_are_not_blamed_on_label_studio(web, elsewhere, status, message):
    elsewhere.routes["/a.png"] = answers(status, b"")
    images = store(web, image_hosts=(f"127.0.0.1:{elsewhere.port}",))
    with pytest.raises(ImageError, match=f"127.0.0.1 answered {status}.*{message}") as caught:
        images.get(f"{elsewhere.url}/a.png")
    assert "LABEL_STUDIO" not in str(caught.value)


def test_only_files_of_label_studio_are_asked_for_with_the_token(web):
    """What else is at its address is another service behind the same proxy, or nothing that a task may ask for."""
    for path in ("/images/a.png", "/data/upload/1/a.png"):
        web.routes[path] = answers(200, png(9))
    web.routes["/data/upload/1/b.png"] = answers(302, b"", Location="/api/projects/1/export")
    settings = Settings(label_studio_url=web.url, label_studio_api_key="ab" * 20)
    images = ImageStore(settings, LabelStudio(settings))
    for path in ("/images/a.png", "/data/upload/1/a.png"):
        assert (images.get(web.url + path).pixels == 9).all()
    for address in (f"{web.url}/api/projects/1/export", "/data/upload/1/b.png"):
        with pytest.raises(ImageError, match="404"):
            images.get(address)
    sent = [(path, "Authorization" in headers) for _, path, headers in web.requests]
    assert sent == [
        ("/images/a.png", False),
        ("/data/upload/1/a.png", True),
        ("/api/projects/1/export", False),
        ("/data/upload/1/b.png", True),
        ("/api/projects/1/export", False),
    ]


def test_a_bucket_that_label_studio_does_not_know_is_named(web):
    with pytest.raises(ImageError, match="s3://bucket/a.png: .*Cloud Storage settings"):
        store(web).get("s3://bucket/a.png", task_id=12)


def test_a_revoked_access_token_costs_one_more_request(web):
    studio = TokenStudio(web)
    settings = Settings(label_studio_url=web.url, label_studio_api_key=REFRESH)
    images = ImageStore(settings, LabelStudio(settings))

    def guarded(handler):
        good = handler.headers.get("Authorization") == f"Bearer {studio.issued[-1]}"
        send(handler, 200, png()) if good else send(handler, 401, b"")

    web.routes["/data/upload/1/a.png"] = web.routes["/data/upload/1/b.png"] = guarded
    images.get("/data/upload/1/a.png")
    studio.issued.append("revoked")
    images.get("/data/upload/1/b.png")
    assert web.paths().count("/api/token/refresh/") == 2


@settings_of_hypothesis(max_examples=150)
@given(
    st.sampled_from(
        ["", "/", "//", "http://", "http://[", "data:", "data:;base64,", "s3://", "/data/upload/", "x:"]
    ),
    st.text(st.characters(codec=None), max_size=30),
)
def test_any_text_is_an_image_or_refused(start, text):
    with pytest.raises(ImageError):
        NOBODY.get(start + text, task_id=3)


def test_relative_names_and_other_hosts_are_refused(web):
    with pytest.raises(ImageError, match="neither a path"):
        store(web).get("a.png")
    with pytest.raises(ImageError, match="CLICKMASK_IMAGE_HOSTS"):
        store(web).get("http://images.example.com/a.png?signature=abc")


@pytest.mark.parametrize("good", [True, False])
def test_eight_threads_share_one_download(web, good, monkeypatch):
    waiting = threading.Semaphore(0)

    class Waited(Future):
        def result(self, timeout=None):
            waiting.release()
            return super().result(timeout)

    def slow(handler):
        assert all(waiting.acquire(timeout=60) for _ in range(7))
        send(handler, 200 if good else 500, png())

    monkeypatch.setattr("backend.images.store.Future", Waited)

    web.routes["/data/upload/1/a.png"] = slow
    images, found = store(web), []

    def ask(_: int) -> None:
        try:
            found.append(images.get("/data/upload/1/a.png").pixels)
        except ImageError as error:
            found.append(error)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert len(web.requests) == 1
    assert len(found) == 8
    assert len({id(each) for each in found}) == 1
    assert isinstance(found[0], np.ndarray) == good
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


def test_an_image_larger_than_the_cache_is_given_but_not_kept(web, caplog):
    web.routes["/data/upload/1/a.png"] = answers(200, png(side=600))  # 1,080,000 bytes
    images = store(web, image_cache_mb=1)
    assert images.get("/data/upload/1/a.png").pixels.shape == (600, 600, 3)
    assert images.stats()["bytes"] == 0
    assert "CLICKMASK_IMAGE_CACHE_MB" in caplog.text


def test_prefetch_goes_no_further_than_two_images_of_a_host_that_keeps_no_other_waiting(web, elsewhere):
    gate = threading.Event()

    def wait(handler):
        gate.wait(10)
        send(handler, 200, png())

    images = store(web, image_hosts=(f"127.0.0.1:{elsewhere.port}",))
    for name in "abcd":
        web.routes[f"/data/upload/1/{name}.png"] = wait
        images.prefetch(f"/data/upload/1/{name}.png", 4)
    elsewhere.routes["/e.png"] = answers(200, png())
    images.prefetch(f"{elsewhere.url}/e.png", 5)
    until("the image of another host", lambda: elsewhere.requests)
    gate.set()
    images.get("/data/upload/1/b.png")
    images._ahead.shutdown()
    assert sorted(path[-5] for path in web.paths()) == ["a", "b"]


def test_prefetch_fills_the_cache_and_swallows_errors(web, caplog):
    web.routes["/data/upload/1/a.png"] = answers(200, png())
    images = store(web)
    images.prefetch("/data/upload/1/missing.png", 4)
    images.prefetch("/data/upload/1/a.png", 4)
    until("the image", lambda: images.stats()["images"])
    images.get("/data/upload/1/a.png")
    assert images.stats()["hits"] == 1


def test_the_digest_tells_pixels_apart_not_addresses(web):
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        web.routes[f"/data/upload/1/{name}.png"] = answers(200, png(value))
    a, b, c = (store(web).get(f"/data/upload/1/{name}.png").digest for name in "abc")
    assert a == b != c
