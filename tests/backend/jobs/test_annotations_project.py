"""A project's annotations as the fine-tuning reads them, over real HTTP: what is read, and what is told."""

from __future__ import annotations

import tracemalloc
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from backend.images import store
from backend.jobs.annotations import ProjectSource
from backend.label_studio.mask_formats import polygon, rle
from backend.settings import Settings
from fine_tune.data.project_samples import Samples, SourceError
from tests.backend.annotated_project import CONFIG, PROJECT, export, task
from tests.backend.http_server import Web, answers, answers_json
from tests.backend.running_app import png
from tests.backend.worker_home import COUNT
from tests.fine_tune.shape_scenes import shape_scene


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


def test_a_host_that_hangs_does_not_hold_up_a_job_for_all_its_images(
    project: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "LATE_S", 0.0)
    monkeypatch.setattr(store, "LATE", 2)
    numbers = [1, 2, 3, 4, 5, 6]
    tasks = [task(number, shape_scene(np.random.default_rng(number)).truth) for number in numbers]
    with closing(Web()) as slow:
        slow.otherwise = lambda _: None  # no answer
        for number in (1, 3, 4, 5):
            tasks[number - 1]["data"] = {"image": f"{slow.url}/{number}.png"}
        export(project, tasks)
        hosts = (f"127.0.0.1:{slow.port}",)
        settings = Settings(home=tmp_path, label_studio_url=project.url, image_hosts=hosts)
        listed, problems = ProjectSource(PROJECT, settings).annotations(), list[str]()
        assert len(list(listed.images(set(numbers), problems.append))) == 2
        assert slow.paths() == ["/1.png", "/3.png"]
    assert ["let the last 2 wait in vain" in text for text in problems] == [False, False, True, True]


def halves(entry: dict) -> dict:
    """The result with a mask for an image of half the size."""
    height, width = entry["original_height"] // 2, entry["original_width"] // 2
    value = {**entry["value"], "rle": list(rle.encode(np.ones((height, width), bool)))}
    return {**entry, "original_height": height, "original_width": width, "value": value}


def cut(entry: dict) -> dict:
    return {**entry, "value": {**entry["value"], "rle": entry["value"]["rle"][:-3]}}


@pytest.mark.parametrize(
    ("damaged", "reason"), [(cut, "the RLE tells only"), (halves, "drawn on 48x48 pixels, but the image now")]
)
def test_one_mask_that_cannot_be_used_does_not_lose_the_others_of_its_image(
    damaged, reason, project: Web, tmp_path: Path
):
    whole = task(1, shape_scene(np.random.default_rng(1)).truth)
    results = whole["annotations"][0]["result"]
    results.append({**damaged(results[1]), "id": "broken"})
    export(project, [whole])
    source = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=project.url))
    listed = source.annotations()
    problems: list[str] = []
    (image,) = listed.images({1}, problems.append)
    assert len(image.masks) == len(image.labels) == 1
    assert len(image.problems) == 1 and f"task 1, region broken: {reason}" in image.problems[0]
    assert problems == [], "the image can be read"
    del results[1]
    assert list(listed.images({1}, problems.append)) == []
    assert len(problems) == 1 and "task 1: none of its masks can be used; the first one:" in problems[0]
    assert f"region broken: {reason}" in problems[0]


@pytest.mark.parametrize("size", [None, 1000])
def test_a_polygon_has_the_size_of_its_image(size, project: Web, tmp_path: Path):
    whole = task(1, shape_scene(np.random.default_rng(1)).truth)
    (result,) = whole["annotations"][0]["result"][1:]
    result |= {"type": "polygonlabels", "original_width": size, "original_height": size}
    result["value"] = {"points": [[0, 0], [50, 0], [50, 50], [0, 50]], "polygonlabels": ["Cat"]}
    export(project, [whole])
    source = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=project.url))
    problems: list[str] = []
    (image,) = source.annotations().images({1}, problems.append)
    assert (np.mean(image.masks), image.labels, problems) == (0.25, ["Cat"], [])


def test_a_remark_about_an_object_is_not_the_label_that_is_learned(project: Web, tmp_path: Path):
    made = task(1, shape_scene(np.random.default_rng(1)).truth)
    mask = made["annotations"][0]["result"][1]
    remark = {**mask, "type": "labels", "from_name": "cond", "value": {"labels": ["occluded"]}}
    made["annotations"][0]["result"].append(remark)
    export(project, [made])
    row = '<Labels name="cond" toName="image"><Label value="occluded"/></Labels>'
    record = {"id": PROJECT, "label_config": CONFIG.replace("</View>", f"{row}</View>")}
    project.routes["/api/projects/3/"] = answers_json(record)
    listed = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=project.url)).annotations()
    (image,) = listed.images({1}, pytest.fail)
    assert image.labels == ["Cat"]


def test_a_label_that_was_removed_from_the_project_is_none_to_propose(project: Web, tmp_path: Path):
    record = {"id": PROJECT, "label_config": CONFIG.replace("Cat", "Dog")}
    project.routes["/api/projects/3/"] = answers_json(record)
    listed = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=project.url)).annotations()
    (image,) = listed.images({1}, pytest.fail)
    assert (len(image.masks), image.labels, image.place) == (1, [None], "task 1")


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


def test_no_more_than_a_few_masks_of_an_image_are_decoded_at_once(project: Web, tmp_path: Path):
    count, (height, width) = 60, (900, 1200)
    truth = np.zeros((height, width), bool)
    truth[100:200, 300:500] = True
    whole = task(1, truth)
    brushed = whole["annotations"][0]["result"][1]
    ring = {"points": polygon.from_mask(truth), "polygonlabels": ["Cat"]}
    outlined = {**brushed, "type": "polygonlabels", "value": ring}
    # An object of many parts, and many objects.
    parts = [{**outlined, "id": f"cm0123456789ab-{part}"} for part in range(2, count)]
    whole["annotations"][0]["result"] = parts + [
        {**(outlined if number % 2 else brushed), "id": f"object {number}"} for number in range(count)
    ]
    export(project, [whole])
    project.routes["/data/upload/3/1.png"] = answers(200, png(np.zeros((height, width, 3), np.uint8)))
    listed = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=project.url)).annotations()
    samples, problems = Samples(0.0), list[str]()
    tracemalloc.start()
    try:
        for image in listed.images({1}, problems.append):
            samples.add(image)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (problems, samples.count()["train_objects"]) == ([], count + 1)
    assert most < count * truth.size / 2
