"""Requests for predictions, of every kind that Label Studio sends."""

from __future__ import annotations

import base64
import copy
import time
from typing import Any
from unittest.mock import patch

from backend.clicks.habits import SEVERAL_S
from backend.label_studio.mask_formats import rle
from tests.golden.bodies import (
    BRUSH,
    SIZE,
    drawing,
    file,
    keypoint,
    labeling_config,
    opened,
    predict,
    rectangle,
)
from tests.golden.recorder import Recorder
from tests.golden.studio import Studio

POLYGON, BOTH = labeling_config("Polygon"), labeling_config("Brush", "Polygon")
IN, OUT = (25, 22), (50, 25)  # percent: in the first ellipse, and between two
USER = "ann@example.com"


def predictions(ask: Recorder, studio: Studio) -> None:
    """All of them, on one application that has no Redis."""
    _opened(ask)
    _clicks(ask)
    _prompts(ask)
    _outputs(ask)
    _corrections(ask)
    _restored(ask)
    # What follows at once must not depend on a busy machine, nor be those clicks together lately that show that
    # Auto-Accept is off.
    with patch("time.time", return_value=time.time() + 2 * SEVERAL_S):
        _single_clicks(ask)
    _images(ask, studio)
    _malformed(ask)


def _opened(ask: Recorder) -> None:
    ask.ask("a task is opened", "/predict", opened(1))
    ask.ask("a batch of three", "/predict", opened(1, 2, 3))
    ask.ask("no params", "/predict", {k: v for k, v in opened(1).items() if k != "params"})
    ask.ask("an empty context", "/predict", predict(task=1))


def _clicks(ask: Recorder) -> None:
    one, two = keypoint("k1", *IN), keypoint("k2", 30, 30)
    no, far = keypoint("k3", 20, 15, False), keypoint("k4", 33, 22)
    ask.click("one click", predict(one, task=10))
    ask.click("the same click again", predict(one, task=10))
    ask.click("two clicks", predict(one, two, task=10))
    ask.click("two and a negative one", predict(one, two, no, task=10))
    ask.click("four clicks, replayed", predict(one, two, no, far, task=11))
    moved = keypoint("k1", 27, 24)
    ask.click("the first click is moved", predict(moved, two, no, task=10))
    ask.click("a negative click alone", predict(no, task=12))
    ask.click("a click on nothing", predict(keypoint("k1", *OUT), task=12))
    ask.click("a click beyond the edge", predict(keypoint("k1", -2, 50), task=13))
    ask.click("a number as project", {**predict(one, task=14), "project": 1})
    ask.click("no project", {k: v for k, v in predict(one, task=14).items() if k != "project"})


def _prompts(ask: Recorder) -> None:
    one, dog = keypoint("k1", *IN), keypoint("k2", 75, 25, label="Dog")
    ask.click("two labels at once", predict(one, dog, task=20))
    both = keypoint("k1", *IN)
    both["value"] |= {"keypointlabels": ["Cat", "Dog"], "labels": ["Cat", "Dog"]}
    ask.click("a click of two labels", predict(both, task=21))
    ask.click("a rectangle", predict(rectangle("r1", 5, 5, 40, 35), task=22))
    ask.click("a turned rectangle", predict(rectangle("r1", 30, 5, 30, 25, turned=30), task=22))
    old, new = rectangle("r1", 5, 5, 40, 35), rectangle("r2", 55, 60, 40, 35)
    ask.click("the last of two rectangles", predict(old, new, task=22))
    ask.click("a rotated view", predict({**one, "image_rotation": 90}, task=23))
    ask.click("an unknown type", predict({**one, "type": "ellipselabels"}, task=24))
    ask.click("a keypoint without labels result", predict({**one, "type": "keypoint"}, task=24))
    text = copy.deepcopy(keypoint("k3", 20, 15, None))
    text["value"]["keypointlabels"] = ["Cat"]
    ask.click("polarity as text", predict(one, {**text, "is_positive": "false"}, task=25))


def _outputs(ask: Recorder) -> None:
    one = keypoint("k1", *IN)
    ask.click("polygons", predict(one, task=30, config=POLYGON))
    ask.click("brush and polygon", predict(one, keypoint("k2", 30, 30), task=31, config=BOTH))
    ask.click("no output tag", predict(one, task=32, config=labeling_config()))
    ask.click("bitmasks only", predict(one, task=33, config=labeling_config("Bitmask")))
    ask.click("a label that the output lacks", predict(keypoint("k1", *IN, label="Cow"), task=34))
    dynamic = BRUSH.replace('<BrushLabels name="brush"', '<BrushLabels name="brush" value="$labels"')
    ask.click("labels of the data", predict(keypoint("k1", *IN, label="Cow"), task=35, config=dynamic))
    alias = BRUSH.replace('<Label value="Cat"/>', '<Label value="Kitten" alias="Cat"/>')
    ask.click("a label's alias", predict(one, task=36, config=alias))


def _corrections(ask: Recorder) -> None:
    accepted = ask.click("a mask to correct", predict(keypoint("k1", *IN), task=40))
    draft = {"id": 1, "user": USER, "updated_at": "2026-01-01T00:00:00Z", "result": accepted}
    less, more = keypoint("k2", 30, 25, False), keypoint("k2", 24, 24)
    ask.click("it is corrected in a draft", predict(less, task=40, drafts=[draft]))
    ask.click("it is added to in a draft", predict(more, task=41, drafts=[draft]))
    submitted = {"id": 5, "completed_by": 1, "was_cancelled": False, "result": accepted}
    ask.click("it is corrected when submitted", predict(less, task=42, annotations=[submitted]))
    skipped = {**submitted, "was_cancelled": True}
    ask.click("a skipped one is not", predict(more, task=43, annotations=[skipped]))
    said = {**accepted[0], "origin": "prediction-changed"}
    ask.click("a mask with a choice", predict(less, task=44, drafts=[{**draft, "result": [said]}]))
    mask = rle.decode(said["value"]["rle"], SIZE[1], SIZE[0]) > 0
    mask[0, 0] = True
    painted = [{**said, "value": {**said["value"], "rle": list(rle.encode(mask))}}]
    ask.click("a painted mask", predict(less, task=44, drafts=[{**draft, "result": painted}]))
    drawn = [{**accepted[0], "id": "drawn", "origin": "manual", "meta": {}}]
    ask.click("a hand-drawn mask", predict(less, task=45, drafts=[{**draft, "result": drawn}]))
    dog = keypoint("k2", 24, 24, label="Dog")
    ask.click("a click of another label", predict(dog, task=46, drafts=[draft]))
    beside = keypoint("k2", 46, 30, False)
    ask.click("a negative click beside a mask", predict(beside, task=47, drafts=[draft]))
    second = keypoint("k2", 75, 25)
    ask.click("a second object", predict(second, task=48, drafts=[draft]))
    both = ask.click("a brush and a polygon to correct", predict(keypoint("k1", *IN), task=49, config=BOTH))
    draft = {**draft, "result": both}
    ask.click("they are corrected", predict(less, task=49, config=BOTH, drafts=[draft]))
    broken = [{**accepted[0], "value": {**accepted[0]["value"], "rle": [1, 2, 3]}}]
    ask.click("a mask that cannot be read", predict(more, task=50, drafts=[{**draft, "result": broken}]))


def _restored(ask: Recorder) -> None:
    points = [keypoint("k1", *IN), keypoint("k2", 20, 15, False)]
    draft = {"id": 1, "user": USER, "result": points}
    bare = [keypoint("k1", *IN, None), keypoint("k2", 20, 15, None)]
    new = keypoint("k3", 30, 30)
    ask.click("points restored from a draft", predict(*bare, new, task=60, drafts=[draft]))
    submitted = {"id": 5, "completed_by": 1, "result": points}
    ask.click("points restored when submitted", predict(*bare, new, task=61, annotations=[submitted]))
    ask.click("a hand-drawn point beside a click", predict(keypoint("h", 75, 25, None), new, task=62))
    ask.click("a hand-drawn point alone", predict(keypoint("h", 75, 25, None), task=63))
    mask = ask.click("a mask whose click stays", predict(keypoint("k1", *IN), task=64))
    draft = {"id": 1, "user": USER, "result": [*mask, keypoint("k1", *IN)]}
    used = predict(keypoint("k1", *IN), keypoint("k9", 75, 25), task=64, drafts=[draft])
    ask.click("its click is sent with the next object", used)
    ask.click("it is moved", predict(keypoint("k1", 26, 23), task=65, drafts=[draft]))


def _single_clicks(ask: Recorder) -> None:
    ask.click("Auto-Accept: a click", predict(keypoint("k1", *IN), task=70))
    ask.click("Auto-Accept: a second one", predict(keypoint("k2", 30, 28), task=70))
    ask.click("Auto-Accept: a negative one", predict(keypoint("k3", 20, 15, False), task=70))
    far = ask.click("Auto-Accept: one far away", predict(keypoint("k4", 75, 78), task=70))
    draft = {"id": 1, "user": USER, "result": far}
    ask.click("Auto-Accept: after an autosave", predict(keypoint("k5", 78, 80), task=70, drafts=[draft]))
    ask.click("Auto-Accept: another task", predict(keypoint("k6", 20, 15, False), task=71))
    ask.click("together: two clicks", predict(keypoint("k1", *IN), keypoint("k2", 30, 28), task=72))
    ask.click("together: one near them", predict(keypoint("k3", 33, 22), task=72))


def _images(ask: Recorder, studio: Studio) -> None:
    one, tall = keypoint("k1", *IN), (SIZE[1], SIZE[0])
    studio.answers["/data/upload/1/80.png"] = 200, _turned()
    ask.click("EXIF orientation 6", predict(_of(one, *tall), task=80))
    multi = labeling_config("Brush", image='valueList="$pages"')
    pages = {"pages": ["/data/upload/1/81.png", "/data/upload/1/82.png"]}
    ask.click("the second page", predict({**one, "item_index": 1}, task=81, config=multi, data=pages))
    ask.click(
        "a page that is not there", predict({**one, "item_index": 7}, task=81, config=multi, data=pages)
    )
    code = base64.b64encode(file(drawing(*SIZE))).decode()
    ask.click("a data URL", predict(one, task=83, data={"image": f"data:image/png;base64,{code}"}))
    studio.answers["/data/upload/1/84.png"] = 404, b"gone"
    ask.click("an image that is gone", predict(one, task=84))
    studio.answers["/data/upload/1/85.png"] = 200, b"no image"
    ask.click("a file that is no image", predict(one, task=85))
    ask.click("an image of another size", predict(_of(one, 161, 120), task=86))
    private = {"image": "http://10.0.0.1/a.png"}
    ask.click("an address inside the network", predict(one, task=87, data=private))
    ask.click("data without an image", predict(one, task=88, data={"text": "a"}))
    for form, options in (("JPEG", {"quality": 95}), ("GIF", {}), ("BMP", {}), ("TIFF", {})):
        studio.answers["/data/upload/1/89." + form] = 200, file(drawing(*SIZE), form, **options)
        data = {"image": "/data/upload/1/89." + form}
        ask.click(f"a {form} file", predict(one, task=89, data=data))
    big = (1600, 1200)
    studio.answers["/data/upload/1/90.png"] = 200, file(drawing(*big))
    clicks = [_of(point, *big) for point in (one, keypoint("k2", 30, 30), keypoint("k3", 20, 15, False))]
    ask.click("a large image", predict(*clicks, task=90))


def _malformed(ask: Recorder) -> None:
    good = predict(keypoint("k1", *IN), task=95)
    ask.ask("no JSON", "/predict", b"{")
    ask.ask("a list", "/predict", [])
    ask.ask("an empty body", "/predict", b"")
    ask.ask("no tasks", "/predict", {})
    ask.ask("tasks is text", "/predict", {**good, "tasks": "a"})
    ask.ask("two tasks with clicks", "/predict", {**good, "tasks": good["tasks"] * 2})
    ask.ask("a task without data", "/predict", {**good, "tasks": [{"id": 1}]})
    ask.ask("project is text", "/predict", {**good, "project": "mine"})
    ask.ask("a config that is no XML", "/predict", {**good, "label_config": "<View>"})
    ask.ask("a config with entities", "/predict", {**good, "label_config": "<!DOCTYPE a><View/>"})
    ask.ask("result is no list", "/predict", {**good, "params": {"context": {"result": "a"}}})
    ask.ask("no result", "/predict", {**good, "params": {"context": {}}})
    wrong: dict[str, dict[str, Any]] = {
        "unknown image tag": keypoint("k1", *IN, to_name="photo"),
        "no label": keypoint("k1", *IN, value={"x": 1, "y": 2, "keypointlabels": []}),
        "x is text": keypoint("k1", *IN, value={"x": "1", "y": 2, "keypointlabels": ["Cat"]}),
        "x is missing": keypoint("k1", *IN, value={"y": 2, "keypointlabels": ["Cat"]}),
        "x is no percentage": keypoint("k1", 400, 2),
        "width is 0": keypoint("k1", *IN, original_width=0),
        "height is missing": keypoint("k1", *IN, original_height=None),
        "item_index is negative": keypoint("k1", *IN, item_index=-1),
        "from_name is a number": keypoint("k1", *IN, from_name=5),
    }
    for name, point in wrong.items():
        ask.ask(name, "/predict", predict(point, task=96))


def _of(entry: dict[str, Any], width: int, height: int) -> dict[str, Any]:
    return {**entry, "original_width": width, "original_height": height}


def _turned() -> bytes:
    """A JPEG that is stored 160x120 and shown 120x160, turned to the right."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    return file(drawing(*SIZE), "JPEG", quality=95, subsampling=0, exif=exif)
