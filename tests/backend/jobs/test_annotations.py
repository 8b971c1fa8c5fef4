"""Objects of annotations to evaluate on, from an export file and from a project: what is read, and what is not."""

import json

import numpy as np
import pytest

from backend.jobs.annotations import read_export, read_project
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.settings import Settings
from model.evaluation.datasets import DatasetError
from tests.backend.drawn_regions import brush
from tests.backend.http_server import Web, answers_json

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
    return brush(name, mask(left), to_name="photo") | changes


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
        record = {"id": 3, "label_config": CONFIG, "total_annotations_number": 1}
        web.routes["/api/projects/3/"] = answers_json(record)
        tasks = [task(7, annotation(region("a", 3)), picture="/p/7.png", text="other")]
        web.routes["/api/projects/3/export"] = answers_json(tasks)
        client = LabelStudio(Settings(label_studio_url=web.url, label_studio_api_key="ab" * 20))
        pictures = Pictures()
        read_project(client, 3, pictures)[0].load()
        assert pictures.asked == [("/p/7.png", 7)]
        with pytest.raises(LabelStudioError):
            read_project(client, 4, pictures)
    finally:
        web.close()
