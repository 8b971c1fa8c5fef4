"""What jobs are made with."""

from pathlib import Path

import numpy as np

from fine_tune.project.setup import Setup
from model.versions.registry import Registry


def test_files_of_jobs_are_below_the_home(tmp_path: Path):
    made = Setup(Registry(tmp_path), home=tmp_path)
    assert made.folder("jobs", "project-3") == tmp_path / "jobs" / "project-3"


def test_without_a_home_nothing_is_kept(tmp_path: Path):
    assert Setup(Registry(tmp_path)).folder("jobs") is None


def test_what_must_not_be_forgotten_is_drawn_unless_it_is_given(tmp_path: Path):
    drawn, again = (Setup(Registry(tmp_path)).retention_set for _ in range(2))
    assert len(drawn) > 5
    assert drawn is not again
    np.testing.assert_array_equal(drawn[0].load().image, again[0].load().image)
    assert Setup(Registry(tmp_path), retention_set=drawn[:1]).retention_set == drawn[:1]
