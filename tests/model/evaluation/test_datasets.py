"""Both layouts of image + mask folders, written to a temporary folder."""

import json
import logging
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from model.evaluation.datasets import DatasetError, read_folder


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


@pytest.fixture
def ids():
    """40x60: object 1 of 100 pixels, object 7 of 12, four ignored."""
    ids = np.zeros((40, 60), np.uint8)
    ids[5:15, 5:15], ids[20:23, 30:34], ids[0, :4] = 1, 7, 255
    return ids


@pytest.fixture
def plain(tmp_path, ids):
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 2] = 200  # OpenCV writes BGR: a red image
    for name in ("a", "b"):
        write(tmp_path / f"images/{name}.png", image)
    write(tmp_path / "masks/a.png", ids)
    write(tmp_path / "masks/b.png", (ids == 1).astype(np.uint8) * 255)
    return tmp_path


def test_plain_folder_gives_every_object(plain, ids):
    samples = read_folder(plain)
    assert [s.id for s in samples] == ["a#1", "a#7", "b"]
    scene = samples[1].load()
    assert scene.image.shape == (40, 60, 3)
    assert tuple(scene.image[0, 0]) == (200, 0, 0)
    np.testing.assert_array_equal(scene.truth, ids == 7)
    np.testing.assert_array_equal(scene.ignore, ids == 255)


def test_a_mask_of_0_and_255_is_an_object_in_a_plain_folder(plain, ids):
    scene = read_folder(plain)[2].load()
    np.testing.assert_array_equal(scene.truth, ids == 1)
    assert not scene.ignore.any()


def test_small_objects_and_more_than_wanted_are_left_out(plain):
    assert [s.id for s in read_folder(plain, min_area=13)] == ["a#1", "b"]
    assert [s.id for s in read_folder(plain, max_objects=2)] == ["a#1", "a#7"]
    assert len(read_folder(plain, max_objects=9)) == 3
    with pytest.raises(DatasetError, match="no object of at least 5000 pixels"):
        read_folder(plain, min_area=5000)


def test_images_without_mask_are_left_out_loudly(plain, caplog):
    write(plain / "images/c.jpg", np.zeros((8, 8, 3), np.uint8))
    with caplog.at_level(logging.WARNING):
        assert len(read_folder(plain)) == 3
    assert "1 images without a mask" in caplog.text


@pytest.fixture
def indexed(tmp_path, ids):
    items = [
        {"id": "x", "image": "images/p.jpg", "mask": "masks/x.png", "object_id": 7},
        {"id": "y", "image": "images/p.jpg", "mask": "masks/x.png", "objects": 2},
    ]
    write(tmp_path / "images/p.jpg", np.full((40, 60, 3), 90, np.uint8))
    write(tmp_path / "masks/x.png", ids)
    (tmp_path / "items.json").write_text(json.dumps(items))
    return tmp_path


def test_indexed_folder_names_its_object_or_has_all(indexed, ids):
    samples = read_folder(indexed)
    assert [s.id for s in samples] == ["x", "y#1", "y#7"]
    scene = samples[0].load()
    np.testing.assert_array_equal(scene.truth, ids == 7)
    assert not (scene.truth & scene.ignore).any()


def test_parts(indexed):
    assert len(read_folder(indexed, part="public")) == 3  # no split.json: one part under any name
    (indexed / "split.json").write_text(json.dumps({"train": ["x"], "public": ["y"]}))
    assert [s.id for s in read_folder(indexed, part="public")] == ["y#1", "y#7"]
    with pytest.raises(DatasetError, match=r"no part 'val'; it has public, train"):
        read_folder(indexed, part="val")


def test_what_cannot_be_read_is_named(tmp_path, plain, ids):
    with pytest.raises(DatasetError, match=r"neither items\.json nor a folder images"):
        read_folder(tmp_path / "nowhere")
    write(plain / "images/a.png", np.zeros((41, 60, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"a\.png: 60x40 pixels, but its image a\.png has 60x41"):
        read_folder(plain)[0].load()
    write(plain / "masks/b.png", np.dstack([ids, ids, ids * 2]))
    with pytest.raises(DatasetError, match="colour image"):
        read_folder(plain)
    write(plain / "masks/b.png", ids.astype(np.uint16))
    with pytest.raises(DatasetError, match="uint16"):
        read_folder(plain)
    write(plain / "masks/c.png", ids)
    with pytest.raises(DatasetError, match=r"c\.png: no image of that name"):
        read_folder(plain)


def test_a_broken_index_is_named(indexed):
    (indexed / "items.json").write_text('[{"id": 1}]')
    with pytest.raises(DatasetError, match="not a list of id, image and mask"):
        read_folder(indexed)


@pytest.mark.parametrize(
    ("number", "said"), [("7", "object_id is '7', no whole number"), (7.5, "object_id is 7.5")]
)
def test_an_object_that_is_no_number_is_named(indexed, number, said):
    items = json.loads((indexed / "items.json").read_text())
    items[0]["object_id"] = number
    (indexed / "items.json").write_text(json.dumps(items))
    with pytest.raises(DatasetError, match=said):
        read_folder(indexed)


def test_an_object_that_its_mask_lacks_is_left_out_loudly(indexed, caplog):
    items = json.loads((indexed / "items.json").read_text())
    items[0]["object_id"] = 8
    (indexed / "items.json").write_text(json.dumps(items))
    with caplog.at_level(logging.WARNING):
        assert [s.id for s in read_folder(indexed)] == ["y#1", "y#7"]
    assert "x.png: there is no object 8; 'x' is left out" in caplog.text


def test_a_rewritten_image_is_read_again(plain):
    assert read_folder(plain)[0].load().image[0, 0, 0] == 200
    before = (plain / "images/a.png").stat().st_mtime_ns
    write(plain / "images/a.png", np.zeros((40, 60, 3), np.uint8))
    os.utime(plain / "images/a.png", ns=(before + 10**9, before + 10**9))
    assert read_folder(plain)[0].load().image[0, 0, 0] == 0


@pytest.mark.parametrize("split", ["{", "[3]", '{"public": 3}'])
def test_a_broken_split_is_named(indexed, split):
    (indexed / "split.json").write_text(split)
    with pytest.raises(DatasetError, match=r"split\.json: not an object of parts"):
        read_folder(indexed, part="public")


@pytest.mark.parametrize(("image", "mask"), [("a.JPG", "a.PNG"), ("a.avif", "a.png"), ("a.jfif", "a.png")])
def test_files_are_found_by_their_names_in_any_case_and_kind(image, mask, tmp_path, ids):
    write(tmp_path / "masks" / "a.png", ids)
    (tmp_path / "masks/a.png").rename(tmp_path / "masks" / mask)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "images" / image, "AVIF" if "avif" in image else "JPEG")
    assert read_folder(tmp_path)[0].load().image.shape == (40, 60, 3)


def test_masks_that_ignore_all_are_explained(indexed, ids):
    write(indexed / "masks/x.png", (ids > 0).astype(np.uint8) * 255)
    with pytest.raises(DatasetError, match=r"1 to 254 are objects, 255 is ignored"):
        read_folder(indexed)


def test_lists_may_begin_with_a_byte_order_mark(indexed):
    (indexed / "split.json").write_text(json.dumps({"public": ["y"]}))
    for name in ("items.json", "split.json"):
        (indexed / name).write_text((indexed / name).read_text(), "utf-8-sig")
    assert [s.id for s in read_folder(indexed, part="public")] == ["y#1", "y#7"]
