"""Clicks before and after: rows of the table, and interpolations without a gate."""

from pathlib import Path
from typing import Any

import pytest

from fine_tune.benchmark.gain import COLUMNS, Options, measure_set, row
from fine_tune.training.fine_tuner import Effort
from model.evaluation.report import Record, Report
from model.versions import checkpoint
from tests.fine_tune.mask_sets import write_set
from tests.fine_tune.shape_project import CARD, network


def test_interpolations_are_compared_without_a_gate(tmp_path: Path):
    folder = write_set(tmp_path / "cats", images=12)
    checkpoint.save(tmp_path / "weights", network(), CARD)
    effort = Effort(steps=1, accelerator="cpu")
    rows: list[dict[str, Any]] = []
    options = Options(tmp_path / "weights", effort, objects=1, alphas=(0.0, 1.0), device="cpu")
    assert measure_set(folder, (3,), {}, options, rows.append) == [], "no job"
    assert [(each["images"], each["alpha"]) for each in rows] == [("before", 0), ("3", 0), ("3", 1)]
    assert rows[0]["NoC@85"] == rows[1]["NoC@85"], "alpha 0 is the base"


def test_a_row_has_the_figures_of_its_report():
    report = Report([Record("a", (0.5, 0.8, 0.91, 0.91, 0.91), (), 1.0), Record("b", (0.95,) * 5, (), 1.0)])
    made = row("cats", "30", 0.75, report, 1.5)
    assert tuple(made) == COLUMNS
    assert (made["NoC@90"], made["objects"], made["minutes"]) == (2.0, 2, 1.5)
    assert made["IoU@1"] == pytest.approx(0.725)
