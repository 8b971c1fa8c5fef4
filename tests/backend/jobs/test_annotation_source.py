"""A project over real HTTP: what is read, what is left out, and when nothing can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.jobs.annotation_source import ProjectSource
from backend.settings import Settings
from fine_tune.data.project_samples import SourceError
from tests.backend.annotated_project import PROJECT, annotated
from tests.backend.http_server import Web
from tests.fine_tune.shape_scenes import shape_scene

COUNT = 8


@pytest.fixture
def project() -> Iterator[Web]:
    web = annotated(COUNT)
    yield web
    web.close()


def test_annotations_are_read_as_label_studio_exports_them(project: Web, tmp_path: Path):
    source = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=project.url))
    listed = source.annotations()
    assert [a["id"] for a in listed] == list(range(1, COUNT + 1))
    problems: list[str] = []
    del project.routes["/data/upload/3/2.png"]
    images = list(listed.images({1, 2, 3}, problems.append))
    assert len(images) == 2
    assert "task 2" in problems[0]
    scene = shape_scene(np.random.default_rng(1))
    assert np.array_equal(images[0].image, scene.image)
    (mask,) = images[0].masks
    assert np.array_equal(mask, scene.truth)


def test_a_label_studio_that_is_away_is_named(tmp_path: Path):
    web = Web()
    web.close()
    source = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=web.url))
    with pytest.raises(SourceError, match="cannot be reached"):
        source.annotations()


def test_a_label_studio_that_goes_away_between_two_images_is_no_missing_image(project: Web, tmp_path: Path):
    source = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=project.url))
    listed = source.annotations()
    project.routes["/data/upload/3/2.png"] = lambda _: project.close()
    problems: list[str] = []
    with pytest.raises(SourceError, match="cannot be reached"):
        list(listed.images({1, 2, 3}, problems.append))
    assert problems == []
