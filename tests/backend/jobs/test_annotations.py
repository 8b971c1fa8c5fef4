"""Objects of annotations, from an export file and from a project over real HTTP: what is read, and what is not."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.jobs.annotations import ProjectSource, read_export, read_project
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.mask_formats import polygon, rle
from backend.settings import Settings
from fine_tune.data.project_samples import Samples, SourceError
from model.evaluation.datasets import DatasetError
from tests.backend.annotated_project import CONFIG as PROJECT_CONFIG
from tests.backend.annotated_project import PROJECT, annotated
from tests.backend.annotated_project import export as serve_tasks
from tests.backend.annotated_project import task as annotated_task
from tests.backend.http_server import Web, answers
from tests.backend.running_app import png
from tests.fine_tune.shape_scenes import shape_scene

CONFIG = """<View>
  <Image name="photo" value="$picture"/>
  <BrushLabels name="brush" toName="photo"><Label value="Cat"/></BrushLabels>
</View>"""
HEIGHT, WIDTH = 30, 40


def mask(left: int) -> np.ndarray:
    out = np.zeros((HEIGHT, WIDTH), bool)
    out[5:15, left : left + 8] = True
    return out


def region(name: str, left: int, **changes) -> dict:
    return {
        "id": name,
        "type": "brushlabels",
        "from_name": "brush",
        "to_name": "photo",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "value": {"format": "rle", "rle": list(rle.encode(mask(left))), "brushlabels": ["Cat"]},
    } | changes


def task(number: int, *annotations: dict, **data) -> dict:
    return {"id": number, "data": data or {"picture": f"/p/{number}.png"}, "annotations": list(annotations)}


def annotation(*results: dict, updated: str = "2026-01-01", **fields) -> dict:
    return {"result": list(results), "updated_at": updated, **fields}


class Pictures:
    """Hands out grey images of the task's number, and remembers what was asked for."""

    def __init__(self, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
        self.asked: list[tuple[str, int | None]] = []
        self.shape = shape

    def __call__(self, address, number):
        self.asked.append((address, number))
        return np.full((*self.shape, 3), number, np.uint8)


@pytest.fixture
def export(tmp_path):
    def write(*tasks):
        path = tmp_path / "export.json"
        path.write_text(json.dumps(tasks))
        return path

    return write


def test_every_accepted_mask_is_an_object_and_images_wait(export):
    pictures = Pictures()
    keypoint = region("k", 0, type="keypointlabels")
    path = export(task(7, annotation(region("a", 3), keypoint, region("b", 20))), task(8))
    samples = read_export(path, CONFIG, pictures)
    assert [s.id for s in samples] == ["7#a", "7#b"]
    assert pictures.asked == []
    scene = samples[1].load()
    assert pictures.asked == [("/p/7.png", 7)]
    assert (scene.image == 7).all()
    np.testing.assert_array_equal(scene.truth, mask(20))
    assert not scene.ignore.any()


def test_truth_is_ground_truth_else_the_latest_and_never_skipped(export):
    def chosen(*annotations):
        return [s.id for s in read_export(export(task(1, *annotations)), None, Pictures())]

    old, new = annotation(region("old", 3)), annotation(region("new", 9), updated="2026-02-01")
    skipped = annotation(region("skipped", 3), updated="2026-03-01", was_cancelled=True)
    assert chosen(new, old, skipped) == ["1#new"]
    assert chosen(annotation(region("gold", 1), ground_truth=True), new) == ["1#gold"]


def test_an_address_needs_the_config_only_where_there_is_a_choice(export):
    result = annotation(region("a", 3))
    data = {"picture": "/p/1.png", "thumb": "/t/1.png"}
    pictures = Pictures()
    read_export(export(task(1, result, **data)), CONFIG, pictures)[0].load()
    assert pictures.asked == [("/p/1.png", 1)]
    with pytest.raises(DatasetError, match=r"task 1#a: .*\['picture', 'thumb'\]; give the labeling config"):
        read_export(export(task(1, result, **data)), None, pictures)
    with pytest.raises(DatasetError, match="task 1#a: .*no image address"):
        read_export(export(task(1, result, url="/p/1.png")), CONFIG, pictures)


def test_pages_of_a_repeater_are_found_in_each_tasks_data(export):
    config = """<View><Repeater on="$pages" indexFlag="{{idx}}">
      <Image name="page_{{idx}}" value="$pages[{{idx}}].image"/>
      <BrushLabels name="brush_{{idx}}" toName="page_{{idx}}"><Label value="Cat"/></BrushLabels>
    </Repeater></View>"""
    pictures = Pictures()
    pages = [{"image": "/p/first.png"}, {"image": "/p/second.png"}]
    path = export(task(1, annotation(region("a", 3, to_name="page_1", from_name="brush_1")), pages=pages))
    read_export(path, config, pictures)[0].load()
    assert pictures.asked == [("/p/second.png", 1)]


def test_an_image_of_another_size_is_refused(export):
    sample = read_export(export(task(1, annotation(region("a", 3)))), None, Pictures((30, 41)))[0]
    with pytest.raises(DatasetError, match="annotated on 40x30 pixels, but its image now has 41x30"):
        sample.load()


def test_a_polygon_is_evaluated_at_the_size_of_its_image(export):
    points = {"points": [[0, 0], [50, 0], [50, 50], [0, 50]]}
    result = region("a", 3, type="polygon", value=points, original_width=1000, original_height=500)
    (sample,) = read_export(export(task(1, annotation(result))), None, Pictures())
    truth = sample.load().truth
    assert (truth.shape, truth.mean()) == ((HEIGHT, WIDTH), 0.25)


def test_an_object_that_cannot_be_read_is_left_out_with_a_warning(export, caplog):
    broken = region("b", 3)
    broken["value"]["rle"] = broken["value"]["rle"][:-3]
    samples = read_export(export(task(1, annotation(region("a", 3), broken))), None, Pictures())
    assert [sample.id for sample in samples] == ["1#a"]
    assert "task 1#b: the mask cannot be read: the RLE tells only" in caplog.text
    with pytest.raises(DatasetError, match="no accepted mask"):
        read_export(export(task(1, annotation(broken))), None, Pictures())


def test_what_cannot_be_read_is_named(export, tmp_path):
    small = export(task(1, annotation(region("a", 3))))
    with pytest.raises(DatasetError, match="no accepted mask of at least 81 pixels"):
        read_export(small, None, Pictures(), min_area=81)
    assert len(read_export(small, None, Pictures(), min_area=80)) == 1
    (tmp_path / "min.json").write_text('[{"image": "/p/1.png"}]')
    with pytest.raises(DatasetError, match="choose the format JSON"):
        read_export(tmp_path / "min.json", None, Pictures())
    (tmp_path / "umlaut.json").write_bytes(
        json.dumps([task(1, annotation(region("ä", 3)))], ensure_ascii=False).encode("utf-8-sig")
    )
    assert [sample.id for sample in read_export(tmp_path / "umlaut.json", None, Pictures())] == ["1#ä"]
    (tmp_path / "no.json").write_text("<xml/>")
    with pytest.raises(DatasetError, match="not JSON"):
        read_export(tmp_path / "no.json", None, Pictures())


def test_a_project_is_read_with_its_config():
    web = Web()
    try:
        web.routes["/api/projects/3"] = web.routes["/api/projects/3/"] = answers(
            200, json.dumps({"id": 3, "label_config": CONFIG}).encode(), Content_Type="application/json"
        )
        tasks = [task(7, annotation(region("a", 3)), picture="/p/7.png", text="other")]
        web.routes["/api/projects/3/export"] = answers(200, json.dumps(tasks).encode())
        client = LabelStudio(Settings(label_studio_url=web.url, label_studio_api_key="ab" * 20))
        pictures = Pictures()
        read_project(client, 3, pictures)[0].load()
        assert pictures.asked == [("/p/7.png", 7)]
        with pytest.raises(LabelStudioError):
            read_project(client, 4, pictures)
    finally:
        web.close()


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
    whole = annotated_task(1, shape_scene(np.random.default_rng(1)).truth)
    results = whole["annotations"][0]["result"]
    results.append({**damaged(results[1]), "id": "broken"})
    serve_tasks(project, [whole])
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
    whole = annotated_task(1, shape_scene(np.random.default_rng(1)).truth)
    (result,) = whole["annotations"][0]["result"][1:]
    result |= {"type": "polygonlabels", "original_width": size, "original_height": size}
    result["value"] = {"points": [[0, 0], [50, 0], [50, 50], [0, 50]], "polygonlabels": ["Cat"]}
    serve_tasks(project, [whole])
    source = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=project.url))
    problems: list[str] = []
    (image,) = source.annotations().images({1}, problems.append)
    assert (np.mean(image.masks), image.labels, problems) == (0.25, ["Cat"], [])


def test_a_remark_about_an_object_is_not_the_label_that_is_learned(project: Web, tmp_path: Path):
    made = annotated_task(1, shape_scene(np.random.default_rng(1)).truth)
    mask = made["annotations"][0]["result"][1]
    remark = {**mask, "type": "labels", "from_name": "cond", "value": {"labels": ["occluded"]}}
    made["annotations"][0]["result"].append(remark)
    serve_tasks(project, [made])
    row = '<Labels name="cond" toName="image"><Label value="occluded"/></Labels>'
    record = {"id": PROJECT, "label_config": PROJECT_CONFIG.replace("</View>", f"{row}</View>")}
    project.routes["/api/projects/3/"] = answers(200, json.dumps(record).encode())
    listed = ProjectSource(PROJECT, Settings(home=tmp_path, label_studio_url=project.url)).annotations()
    (image,) = listed.images({1}, pytest.fail)
    assert image.labels == ["Cat"]


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
    whole = annotated_task(1, truth)
    brushed = whole["annotations"][0]["result"][1]
    ring = {"points": polygon.from_mask(truth), "polygonlabels": ["Cat"]}
    outlined = {**brushed, "type": "polygonlabels", "value": ring}
    # An object of many parts, and many objects.
    parts = [{**outlined, "id": f"cm0123456789ab-{part}"} for part in range(2, count)]
    whole["annotations"][0]["result"] = parts + [
        {**(outlined if number % 2 else brushed), "id": f"object {number}"} for number in range(count)
    ]
    serve_tasks(project, [whole])
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
