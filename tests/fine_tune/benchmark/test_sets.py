"""Public sets as projects."""

import json
from pathlib import Path

import pytest

from fine_tune.benchmark.sets import public_objects, read_images
from tests.fine_tune.mask_sets import write_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path / "cats", images=24)


def test_only_the_train_part_is_read_and_a_part_of_it_judges_as_in_a_project(folder: Path):
    samples = read_images(folder, 100)
    counts = samples.count()
    assert counts["train_images"] + counts["held_out_images"] == 23
    assert counts["held_out_images"] > 0
    assert read_images(folder, 100).count() == counts


def test_all_of_them_can_be_trained_on(folder: Path):
    assert read_images(folder, 100, all_train=True).count()["held_out_images"] == 0
    assert read_images(folder, 5, all_train=True).count()["train_images"] == 5


def test_the_other_part_is_clicked(folder: Path):
    assert len(public_objects(folder, 10)) == 1


def test_lists_are_read_as_train_and_evaluate_read_them(folder: Path):
    """Ids are numbers in one list and text in the other, and a byte order mark is in front of both."""
    before = read_images(folder, 100).count()
    items = json.loads((folder / "items.json").read_text())
    numbered = [item | {"id": int(item["id"])} for item in items]
    (folder / "items.json").write_text(json.dumps(numbered), "utf-8-sig")
    (folder / "split.json").write_text((folder / "split.json").read_text(), "utf-8-sig")
    assert read_images(folder, 100).count()["train_images"] == before["train_images"]
    assert len(public_objects(folder, 10)) == 1
