"""Public sets as projects."""

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
