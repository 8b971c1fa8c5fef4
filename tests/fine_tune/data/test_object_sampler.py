"""Which objects are trained on."""

import json

import cv2
import numpy as np
import pytest

from fine_tune.data.augment import MIN_AREA
from fine_tune.data.bundle import pack, read
from fine_tune.data.encoded_image import DataError
from fine_tune.data.object_sampler import SET_WEIGHTS, ObjectSampler, weight_of
from tests.fine_tune.mask_sets import write_set


@pytest.fixture
def items(tmp_path):
    pack([write_set(tmp_path / name, side=160) for name in ("cats", "dogs")], tmp_path / "b.zip")
    return read(tmp_path / "b.zip")


def test_every_scene_has_an_object_of_fair_size(items):
    sampler, rng = ObjectSampler(items), np.random.default_rng(0)
    for _ in range(30):
        scene = sampler.draw(rng)
        assert MIN_AREA <= scene.truth.sum() <= 0.8 * scene.truth.size
        assert scene.ignore[:2].any()
        assert not (scene.truth & scene.ignore).any()


def test_sets_are_drawn_by_weight(items, monkeypatch):
    monkeypatch.setitem(SET_WEIGHTS, "cats", 1.0)
    monkeypatch.setitem(SET_WEIGHTS, "dogs", 0.0)
    sampler, rng = ObjectSampler(items), np.random.default_rng(0)
    cats = {item.image for item in items if item.name == "cats"}
    decoded = [i.decode()[0].tobytes() for i in items if i.image in cats]
    assert all(sampler.draw(rng).image.tobytes() in decoded for _ in range(20))


@pytest.mark.parametrize(("gap", "together"), [(20, False), (0, True)])
def test_two_objects_are_meant_together_only_where_they_touch(tmp_path, gap, together):
    folder = write_set(tmp_path / "cats", side=160)
    ids = np.zeros((160, 160), np.uint8)
    ids[40:100, 20:60] = 1
    ids[40:100, 60 + gap : 120] = 2
    for mask in (folder / "masks").iterdir():
        cv2.imwrite(str(mask), ids)
    pack([folder], tmp_path / "b.zip")
    sampler, rng = ObjectSampler(read(tmp_path / "b.zip")), np.random.default_rng(0)
    whole = np.count_nonzero(ids)
    assert any(np.count_nonzero(sampler.draw(rng).truth) == whole for _ in range(60)) == together


def test_nothing_to_train_on_is_said():
    with pytest.raises(DataError, match="empty"):
        ObjectSampler([])


def test_a_group_is_drawn_by_its_own_name_or_its_sets():
    assert weight_of("voc_animals.sbd") == SET_WEIGHTS["voc_animals.sbd"]
    assert weight_of("voc_animals.mine") == SET_WEIGHTS["voc_animals"]
    assert weight_of("other") == weight_of("another.one") < 0.01


def test_stuff_is_seldom_meant(tmp_path):
    folder = write_set(tmp_path / "street", side=160)
    ids = np.zeros((160, 160), np.uint8)
    ids[:80] = 1
    ids[100:130, 20:80] = 2
    entries = json.loads((folder / "items.json").read_text())
    for entry in entries:
        cv2.imwrite(str(folder / entry["mask"]), ids)
        entry["labels"] = ["sky", "car"]
    (folder / "items.json").write_text(json.dumps(entries))
    pack([folder], tmp_path / "b.zip")
    items, rng = read(tmp_path / "b.zip"), np.random.default_rng(0)
    assert all(item.stuff == (1,) for item in items)
    sampler = ObjectSampler(items)
    skies = sum(bool(sampler.draw(rng).truth[:60].any()) for _ in range(100))
    assert 2 <= skies <= 25


@pytest.mark.parametrize("side", [10, 160], ids=["small", "all of the image"])
def test_sets_without_a_fair_object_are_said_instead_of_drawn_from_for_ever(tmp_path, side):
    folder, ids = write_set(tmp_path / "cats", side=160), np.zeros((160, 160), np.uint8)
    ids[:side, :side] = 1
    for mask in (folder / "masks").iterdir():
        cv2.imwrite(str(mask), ids)
    pack([folder], tmp_path / "b.zip")
    with pytest.raises(DataError, match="no object of 300 pixels to 80 % of its image"):
        ObjectSampler(read(tmp_path / "b.zip"))
