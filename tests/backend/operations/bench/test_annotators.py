"""A crowd at a real server of its own; how fast it is does not matter here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from backend.operations.bench.annotators import Crowd, check, inline, memory_mb, pictures
from backend.operations.bench.image_server import ImageServer
from backend.operations.bench.serving import serving
from backend.settings import Settings
from tests.backend.running_app import ImageServer as Studio
from tests.backend.running_app import settings_for
from tests.waiting import until

SIZES = [(96, 64)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings, ImageServer]]:
    studio = Studio()
    account = {"basic_auth_user": "user", "basic_auth_pass": "word"}
    settings = settings_for(tmp_path_factory.mktemp("home"), studio, workers=2, **account)
    with ImageServer() as images, serving(settings, images) as url:
        yield url, dataclasses.replace(settings, label_studio_url=images.url), images
    studio.close()


def test_everybody_gets_the_masks_of_one_alone(place: tuple[str, Settings, ImageServer]) -> None:
    url, settings, images = place
    drawn = {f"/data/upload/0/{n}.jpg": picture for n, picture in enumerate(pictures(SIZES, 4))}
    images.files.update({path: picture.jpeg for path, picture in drawn.items()})
    crowd = Crowd(url, drawn, ("user", "word"), think_s=0.01)
    level = crowd.level(3, 10, lambda _: None)
    assert (len(level.latencies), level.errors, level.refusals) == (30, 0, 0)
    check(level, settings)
    assert (level.checked, level.unequal) == (30, 0)
    facts = level.facts()
    assert facts["clicks"] == 30 and 0 < facts["p50"] <= facts["p95"] <= facts["longest"]
    assert facts["memory_mb"] > 0
    level.samples[0] = (level.samples[0][0], [[0, 1, 2]])
    check(level, settings)
    assert level.unequal == 1, "another mask is seen"


def test_a_picture_can_be_in_its_address(place: tuple[str, Settings, ImageServer]) -> None:
    url, settings, _ = place
    crowd = Crowd(url, {inline(p): p for p in pictures(SIZES, 2)}, ("user", "word"), think_s=0)
    level = crowd.level(2, 5, lambda _: None)
    assert (len(level.latencies), level.errors) == (10, 0)
    check(level, settings)
    assert level.unequal == 0


def test_answers_that_are_none_are_counted(place: tuple[str, Settings, ImageServer]) -> None:
    url, _, _ = place
    drawn = {inline(p): p for p in pictures(SIZES, 1)}
    assert Crowd(url, drawn, None, 0).level(1, 2, lambda _: None).errors == 2  # no password
    gone = Crowd("http://127.0.0.1:1", drawn, None, 0).level(1, 2, lambda _: None)
    assert (gone.errors, gone.memory) == (2, None)


def test_memory_is_that_of_all_processes(place: tuple[str, Settings, ImageServer]) -> None:
    port = urlsplit(place[0]).port
    (serve,) = (
        process
        for process in psutil.Process().children()
        if "serve" in process.cmdline() and port in (at.laddr.port for at in process.net_connections())
    )

    def both_are_counted() -> bool:  # the second one may still be starting
        used, workers = memory_mb(place[0]), serve.children()
        largest = max((worker.memory_info().rss / 2**20 for worker in workers), default=0.0)
        return len(workers) == 2 and used is not None and used > 1.5 * largest

    until("the memory of gunicorn's two workers", both_are_counted)
    assert memory_mb("http://127.0.0.1:1") is None
