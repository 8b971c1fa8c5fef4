"""Images and the client against a real Label Studio: every place an image can be in, with the default token."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from backend.images.address import ImageError
from backend.images.store import ImageStore
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.operations.label_studio_server import LabelStudioServer
from backend.settings import Settings
from tests.backend.http_server import Web, answers
from tests.e2e.conftest import new_studio
from tests.label_studio_calls import create_annotation, import_tasks

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="out" toName="image"><Label value="Cat"/></BrushLabels></View>'
)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def lying(form: str) -> bytes:
    """A file whose EXIF block says that it is to be turned; upright it is 60 high and 40 wide."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, form, exif=exif)
    return buffer.getvalue()


class World:
    """One project of a Label Studio that knows itself by another name than its users."""

    def __init__(self, server: LabelStudioServer, token: str, files: Path) -> None:
        self.settings = Settings(label_studio_url=server.url, label_studio_api_key=token)
        self.client = LabelStudio(self.settings)
        self.images = ImageStore(self.settings, self.client)
        self.project = self.client.create_project(title="images", label_config=CONFIG)["id"]
        self.server, self.files, self._seen = server, files, 0

    def new_tasks(self) -> list[dict]:
        """Those that no earlier test saw."""
        tasks = list(self.client.tasks(self.project))
        seen, self._seen = self._seen, len(tasks)
        return tasks[seen:]


def personal_access_token(server: LabelStudioServer) -> str:
    """What Account & Settings shows in the browser."""
    session = requests.Session()
    session.headers["Referer"] = login = f"{server.url}/user/login/"
    session.get(login, timeout=30)
    form = {
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
        "email": server.email,
        "password": server.password,
    }
    session.post(login, data=form, timeout=30)
    header = {"X-CSRFToken": session.cookies["csrftoken"]}
    return session.post(f"{server.url}/api/token/", headers=header, timeout=30).json()["token"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    files = tmp_path_factory.mktemp("files")
    switches = {
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(files),
        "LABEL_STUDIO_HOST": "http://label-studio.test:8080",
    }
    with new_studio(tmp_path_factory.mktemp("studio"), switches) as server:
        server.start()
        yield World(server, personal_access_token(server), files)


def test_an_upload_is_loaded_upright(world, tmp_path):
    (tmp_path / "a b.png").write_bytes(lying("PNG"))
    (tmp_path / "ü.jpg").write_bytes(lying("JPEG"))
    world.client.upload(world.project, [tmp_path / "a b.png", tmp_path / "ü.jpg"])
    png, jpeg = world.new_tasks()
    assert png["data"]["image"].startswith("/data/upload/")
    assert (world.images.get(png["data"]["image"], png["id"]).pixels == np.rot90(PIXELS, -1)).all()
    assert world.images.get(jpeg["data"]["image"], jpeg["id"]).pixels.shape == (60, 40, 3)


def test_a_local_file_is_loaded_though_its_address_names_another_host(world):
    folder = world.files / "set 1"
    folder.mkdir()
    (folder / "ü b.png").write_bytes(lying("PNG"))
    storage = {"project": world.project, "path": str(folder), "use_blob_urls": True, "regex_filter": ".*"}
    number = world.client.call("POST", "/api/storages/localfiles", json=storage)["id"]
    world.client.call("POST", f"/api/storages/localfiles/{number}/sync")
    (task,) = world.new_tasks()
    assert task["data"]["image"].startswith("http://label-studio.test:8080/data/local-files/?d=")
    assert (world.images.get(task["data"]["image"], task["id"]).pixels == np.rot90(PIXELS, -1)).all()


def test_an_image_in_a_bucket_is_asked_of_label_studio(world):
    bucket = Web()
    bucket.routes["/photos"] = answers(200, b"")  # Label Studio looks whether there is such a bucket
    bucket.routes["/photos/a%20b.png"] = answers(200, lying("PNG"))
    storage = {
        "project": world.project, "bucket": "photos", "s3_endpoint": bucket.url, "region_name": "us-east-1",
        "aws_access_key_id": "k", "aws_secret_access_key": "s", "presign": True, "use_blob_urls": True,
    }  # fmt: skip
    world.client.call("POST", "/api/storages/s3", json=storage)
    import_tasks(
        world.client, world.project, [{"image": "s3://photos/a b.png"}, {"image": "s3://others/a.png"}]
    )
    known, unknown = world.new_tasks()
    assert world.client.task(known["id"])["data"] == known["data"] == {"image": "s3://photos/a b.png"}

    with pytest.raises(ImageError, match="private address.*CLICKMASK_IMAGE_HOSTS"):
        world.images.get("s3://photos/a b.png", known["id"])
    listed = replace(world.settings, image_hosts=(f"127.0.0.1:{bucket.port}",))
    pixels = ImageStore(listed, world.client).get("s3://photos/a b.png", known["id"]).pixels
    assert (pixels == np.rot90(PIXELS, -1)).all()
    path, headers = bucket.requests[-1][1:]
    assert "X-Amz-Signature" in path
    assert "Authorization" not in headers
    with pytest.raises(ImageError, match="Cloud Storage settings"):
        world.images.get("s3://others/a.png", unknown["id"])
    bucket.close()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/data/upload/1/none.png", "file still there|no such file"),
        ("/data/local-files/?d=none.png", "d=none.png: .*no such file"),
        ("/data/local-files/?d=../../../etc/passwd", "file still there|no such file"),
        ("/api/version", "serves no files there"),
    ],
)
def test_what_is_not_there_is_said(world, value, message):
    with pytest.raises(ImageError, match=message):
        world.images.get(value, 1)


def test_a_legacy_token_that_was_turned_off_is_named(world):
    switched = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
    world.client.call("POST", "/api/jwt/settings", json=switched)
    settings = Settings(label_studio_url=world.server.url, label_studio_api_key=world.server.token)
    with pytest.raises(
        LabelStudioError, match="401: .*legacy.*LABEL_STUDIO_API_KEY to a personal access token"
    ):
        LabelStudio(settings).whoami()


def test_pages_of_tasks_are_read_to_the_end_and_not_beyond(world):
    project = world.client.create_project(title="pages", label_config=CONFIG)["id"]
    import_tasks(world.client, project, [{"image": f"/data/{n}.png"} for n in range(100)])
    assert len({task["id"] for task in world.client.tasks(project)}) == 100
    assert {world.project, project} <= {each["id"] for each in world.client.projects()}


def test_annotations_tabs_and_fields_are_written_and_read(world):
    client, project = world.client, world.project
    import_tasks(client, project, [{"image": "/data/x.png"}])
    (task,) = world.new_tasks()
    number = create_annotation(client, task["id"], [])["id"]
    assert client.task(task["id"])["annotations"][0]["id"] == number
    assert [each["id"] for each in client.annotated_tasks(project)] == [task["id"]]
    assert client.update_task(task["id"], {**task["data"], "iou": 0.5})["data"]["iou"] == 0.5
    client.create_view(project, {"title": "one"})
    assert [view["data"]["title"] for view in client.views(project)] == ["one"]
    assert client.update_project(project, title="renamed")["title"] == "renamed"
    assert client.ml_backends(project) == client.webhooks(project) == []
    with pytest.raises(LabelStudioError, match="404"):
        client.project(987654)
