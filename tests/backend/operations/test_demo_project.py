"""The demo's project: made once, completed where an earlier start was cut short."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from backend.operations.demo_project import LABELS, PHOTOS, TITLE, DemoError, photos, prepare
from tests.backend.connected_studio import ConnectedStudio

URL = "http://127.0.0.1:9090"


@pytest.fixture
def studio() -> Iterator[ConnectedStudio]:
    studio = ConnectedStudio()
    yield studio
    studio.close()


def test_a_project_with_photos_is_made_and_connected(studio: ConnectedStudio) -> None:
    number = prepare(studio.client(), URL, studio.settings())
    assert studio.projects[number]["title"] == TITLE
    assert all(f'"{label}"' in studio.projects[number]["label_config"] for label in LABELS)
    assert not studio.projects[number]["show_collab_predictions"]
    names = [task["data"]["image"].rpartition("/")[2] for task in studio.tasks]
    assert names == list(PHOTOS)
    assert [row["url"] for row in studio.backends.values()] == [URL]


def test_what_is_there_is_found_again(studio: ConnectedStudio) -> None:
    first = prepare(studio.client(), URL, studio.settings())
    count = len(studio.tasks)
    assert prepare(studio.client(), URL, studio.settings()) == first
    assert (len(studio.projects), len(studio.tasks), len(studio.backends)) == (1, count, 1)


def test_a_project_that_has_no_photos_yet_gets_them(studio: ConnectedStudio) -> None:
    number = studio.add_project(title=TITLE, label_config="<View/>")
    assert prepare(studio.client(), URL, studio.settings()) == number
    assert len(studio.tasks) == len(PHOTOS)


def test_without_photos_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [path.name for path in photos()] == list(PHOTOS)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DemoError, match="pip install scikit-image"):
        photos()
