"""Objects to annotate: read from sets, and drawn from training bundles."""

import numpy as np
import pytest

from fine_tune.data import bundle
from fine_tune.quality.dataset import Record, draw_subjects, pick_object, read_subjects
from tests.fine_tune.quality.simulated_steps import records, subject, write_subjects


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_subjects(tmp_path_factory.mktemp("shapes"))


def test_evaluation_sets_are_listed_with_films_as_one(folder):
    first, second = read_subjects(folder)
    assert first.truth.sum() == subject(0).truth.sum()
    assert (first.name, second.name) == (f"{folder.name}/images/0.png", f"{folder.name}/film")


def test_objects_have_the_neighbour_they_touch():
    ids = np.zeros((60, 60), np.uint8)
    ids[5:35, 5:35], ids[38:58, 5:35], ids[0:2, 58:60] = 1, 2, 3
    truth, neighbour = pick_object(ids, np.random.default_rng(0))
    assert truth.sum() in (900, 600)
    assert neighbour is not None
    assert {int(truth.sum()), int(neighbour.sum())} == {900, 600}
    assert pick_object(np.zeros((60, 60), np.uint8), np.random.default_rng(0)) is None


def test_training_sets_are_drawn_without_end(folder, tmp_path):
    bundle.pack([folder], tmp_path / "b.zip")
    source = draw_subjects(bundle.read(tmp_path / "b.zip"), np.random.default_rng(0))
    assert {next(source).name for _ in range(20)} == {f"{folder.name}/0", f"{folder.name}/1"}


def test_records_of_older_versions_are_read():
    (made,) = records(1, 0)
    old = made.to_json().replace("stability_score", "stable").replace("solidity", "solid")
    assert old != made.to_json()
    assert Record.from_json(old) == Record.from_json(made.to_json()) == made


def test_records_survive_json():
    for record in records(20, 3):
        assert Record.from_json(record.to_json()) == record
