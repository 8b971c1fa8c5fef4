"""Training bundles."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from fine_tune.data.bundle import pack, read
from fine_tune.data.encoded_image import DataError
from model.mask_file import MaskError
from tests.fine_tune.mask_sets import write_set


def test_a_bundle_holds_the_train_part_of_every_set(tmp_path):
    folders = [write_set(tmp_path / "cats"), write_set(tmp_path / "dogs", images=3)]
    seen = []
    count = pack(folders, tmp_path / "b.zip", on_progress=lambda done, total: seen.append((done, total)))
    items = read(tmp_path / "b.zip")
    assert count == len(items) == 3 + 2
    assert [item.name for item in items] == ["cats"] * 3 + ["dogs"] * 2
    assert seen[-1] == (5, 5)


def test_ids_survive_and_photos_nearly(tmp_path):
    pack([write_set(tmp_path / "cats")], tmp_path / "b.zip", quality=95)
    image, ids = read(tmp_path / "b.zip")[0].decode()
    assert image.shape == (96, 96, 3)
    assert set(np.unique(ids)) == {0, 1, 255}
    assert image[ids == 1].mean() > image[ids == 0].mean() + 20


def test_images_are_bounded_and_masks_follow_without_new_ids(tmp_path):
    pack([write_set(tmp_path / "cats", side=200)], tmp_path / "b.zip", side=64)
    image, ids = read(tmp_path / "b.zip")[0].decode()
    assert image.shape[:2] == ids.shape == (64, 64)
    assert set(np.unique(ids)) <= {0, 1, 255}


@pytest.mark.parametrize(
    "content", [b"hello", b"PK\x03\x04junk", {}, {"index.json": "{"}, {"index.json": "[3]"}]
)
def test_what_is_no_bundle_is_refused(tmp_path, content):
    if isinstance(content, bytes):
        (tmp_path / "x.zip").write_bytes(content)
    else:
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            for name, text in content.items():
                archive.writestr(name, text)
    with pytest.raises(DataError, match="not a training bundle: make one"):
        read(tmp_path / "x.zip")


@pytest.mark.parametrize(
    "items", ["{", "[3]", '{"id": 3}', '[{"image": "a"}]', '[{"id": "a", "image": "a"}]']
)
def test_a_set_whose_list_is_damaged_is_refused(tmp_path, items):
    (tmp_path / "items.json").write_text(items)
    (tmp_path / "split.json").write_text('{"train": ["a"]}')
    with pytest.raises(DataError, match=r"items\.json or split\.json cannot be understood"):
        pack([tmp_path], tmp_path / "b.zip")


@pytest.mark.parametrize("side", [512, 40], ids=["as it is", "shrunk"])
def test_an_image_is_upright_like_its_mask(tmp_path, side):
    upright, ids = np.full((60, 80, 3), 30, np.uint8), np.zeros((60, 80), np.uint8)
    upright[5:25, 10:40], ids[5:25, 10:40] = 220, 1
    exif = Image.Exif()
    exif[0x0112] = 3  # a viewer turns it by half
    for folder in ("images", "masks"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    Image.fromarray(np.ascontiguousarray(upright[::-1, ::-1])).save(
        tmp_path / "set/images/a.jpg", quality=95, exif=exif
    )
    Image.fromarray(ids).save(tmp_path / "set/masks/a.png")
    index = [{"id": "a", "image": "images/a.jpg", "mask": "masks/a.png"}]
    (tmp_path / "set/items.json").write_text(json.dumps(index))
    pack([tmp_path / "set"], tmp_path / "b.zip", side=side)
    image, mask = read(tmp_path / "b.zip")[0].decode()
    assert image[mask == 1].mean() > 200
    assert image[mask == 0].mean() < 50


def test_two_sets_of_one_name_are_not_mixed(tmp_path):
    folders = [write_set(tmp_path / place / "cats") for place in ("one", "two")]
    with pytest.raises(DataError, match="two sets are called 'cats'"):
        pack(folders, tmp_path / "b.zip")


def test_a_mask_of_another_size_than_its_image_is_named(tmp_path):
    folder = write_set(tmp_path / "cats")
    Image.new("L", (48, 96)).save(folder / "masks/1.png")
    with pytest.raises(DataError, match=r"1\.png: 48x96 pixels, but its image has 96x96"):
        pack([folder], tmp_path / "b.zip")


def test_a_mask_that_evaluation_would_refuse_is_refused(tmp_path):
    folder = write_set(tmp_path / "cats")
    Image.new("RGB", (96, 96), (128, 0, 0)).save(folder / "masks/1.png")
    with pytest.raises(MaskError, match=r"1\.png: a colour image"):
        pack([folder], tmp_path / "b.zip")


@pytest.mark.parametrize("side", [40, 512])
def test_palette_masks_keep_their_ids(tmp_path, side):
    folder = write_set(tmp_path / "cats")
    for path in (folder / "masks").iterdir():
        palette = Image.fromarray(np.asarray(Image.open(path)) % 255, "P")
        palette.putpalette((0, 0, 0, 128, 0, 0))
        palette.save(path, bits=1)  # smaller than what a bundle would make of it
    pack([folder], tmp_path / "b.zip", side)
    assert set(np.unique(read(tmp_path / "b.zip")[0].decode()[1])) == {0, 1}


def test_ids_of_a_split_may_be_text_where_those_of_the_list_are_numbers(tmp_path):
    folder = write_set(tmp_path / "cats")
    items = json.loads((folder / "items.json").read_text())
    (folder / "items.json").write_text(json.dumps([item | {"id": int(item["id"])} for item in items]))
    assert pack([folder], tmp_path / "b.zip") == 3


@pytest.mark.parametrize("value", [0, 255])
def test_a_set_without_objects_is_named(tmp_path, value):
    folders = [write_set(tmp_path / "cats"), write_set(tmp_path / "dogs")]
    for mask in (folders[1] / "masks").iterdir():
        Image.new("L", (96, 96), value).save(mask)
    with pytest.raises(
        DataError, match="dogs: no mask holds an object; 1 to 254 are objects, 255 is ignored"
    ):
        pack(folders, tmp_path / "b.zip")


@pytest.mark.parametrize(("name", "content"), [("items.json", []), ("split.json", {"train": ["cat-1"]})])
def test_a_set_without_items_to_train_on_is_named(tmp_path, name, content):
    cats, dogs = write_set(tmp_path / "cats"), write_set(tmp_path / "dogs")
    (dogs / name).write_text(json.dumps(content))
    with pytest.raises(DataError, match="dogs: no item of items.json is one to train on"):
        pack([cats, dogs], tmp_path / "b.zip")
