"""A whole job on a set: minutes of its phases, and what became of it."""

from pathlib import Path

import pytest

from fine_tune.benchmark.sets import read_images
from fine_tune.benchmark.whole_job import COLUMNS, JobRun, run_job
from fine_tune.project.outcome import Outcome
from fine_tune.project.phases import CHOOSE, TRAIN
from fine_tune.training.fine_tuner import Effort
from model.versions import checkpoint
from tests.fine_tune.mask_sets import write_set
from tests.fine_tune.shape_project import CARD, network


def test_a_row_sums_up_the_phases_that_take_time():
    metrics = {"training": {"steps": 7}, "clicks": 21}
    made = JobRun({TRAIN: 2.0, CHOOSE: 0.5}, Outcome("kept back", "no gain", metrics=metrics), None, None)
    values = made.row("cats", 30)
    assert tuple(values) == COLUMNS
    assert (values["minutes"], values["judging"], values["steps"], values["clicks"]) == (2.5, 0.0, 7, 21)
    assert values["verdict"] == "kept back: no gain"


def test_a_job_that_is_refused_is_a_row_too(tmp_path: Path):
    checkpoint.save(tmp_path / "weights", network(), CARD)
    samples = read_images(write_set(tmp_path / "cats", images=6), 4, all_train=True)
    effort = Effort(steps=8, batch=4, rate=1e30, accelerator="cpu")
    with run_job(tmp_path / "weights", samples, effort, "cpu") as made:
        assert made.version is None
        values = made.row("cats", 4)
    assert values["verdict"].startswith("refused: training failed")
    assert values["minutes"] == pytest.approx(sum(values[phase] for phase in COLUMNS[2:7]))
    assert values["training"] > 0
