"""Actions with proposals on a set's public part, and what is said where none are offered."""

from pathlib import Path
from typing import Any

import pytest

from fine_tune.benchmark import actions
from fine_tune.benchmark.actions import COLUMNS, measure_set, measure_version
from fine_tune.training.fine_tuner import Effort
from model.versions import checkpoint
from model.versions.registry import Registry
from tests.fine_tune.benchmark.disc_set import write_discs
from tests.fine_tune.proposals.disc_proposer import add_proposing
from tests.fine_tune.shape_project import CARD, network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of discs: four images to train on, two public ones."""
    return write_discs(tmp_path, train=4, public=2)


def test_a_good_head_saves_actions(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(actions, "OBJECTS", 2)
    judged, seconds = measure_version(add_proposing(Registry(tmp_path)).path, folder, "cpu")
    hand = sum(image.counted.by_hand for image in judged)
    assert len(judged) == 2
    assert sum(image.actions for image in judged) < 0.6 * hand and 10 <= hand <= 100
    assert seconds > 0


def test_a_job_without_enough_images_says_so(folder: Path, tmp_path: Path):
    checkpoint.save(tmp_path / "weights", network(), CARD)
    rows: list[dict[str, Any]] = []
    effort = Effort(steps=1, batch=2, accelerator="cpu")
    for shuffle in (False, True):
        measure_set(folder, 4, tmp_path / "weights", effort, "cpu", rows.append, shuffle)
    assert [tuple(row) for row in rows] == [COLUMNS] * 2
    assert [row["set"] for row in rows] == ["discs", "discs, shuffled"]
    assert {row["offered"] for row in rows} == {"no"} and {row["ratio"] for row in rows} == {1.0}
    assert all(row["reason"] for row in rows)
