"""Figures of the report on rankings whose worth is known."""

import numpy as np
import pytest

report = pytest.importorskip("fine_tune.quality.report", reason="the report needs scikit-learn (extra: dev)")

from fine_tune.quality.training import fit  # noqa: E402
from tests.fine_tune.quality.simulated_steps import records  # noqa: E402

IOUS = np.array([0.5, 0.6, 0.95, 0.9, 0.97, 0.96, 0.91, 0.92, 0.93, 0.94])


def test_the_oracle_finds_everything():
    assert report.spearman(IOUS, IOUS) == pytest.approx(1)
    assert report.auroc(IOUS, IOUS) == 1
    assert report.found(IOUS, IOUS) == 1
    assert report.found_of_few(IOUS, IOUS) == pytest.approx(1)
    assert report.worst(IOUS, IOUS) == 0.5


def test_the_reverse_finds_nothing():
    assert report.spearman(-IOUS, IOUS) == pytest.approx(-1)
    assert report.auroc(-IOUS, IOUS) == 0
    assert report.found_of_few(-IOUS, IOUS) == 0
    assert report.found(-IOUS, IOUS) == 0


def test_bad_masks_are_weighted_to_be_few():
    ious = np.array([0.5] * 80 + [0.95] * 20)
    scores = np.arange(100.0)  # the bad ones first: 20 of 80 fit into the first fifth
    assert report.found(scores, ious) == 0.25
    assert report.found_of_few(scores, ious) == pytest.approx(1)
    mixed = np.arange(100.0) * 37 % 100
    assert report.found_of_few(mixed, ious) == pytest.approx(0.2, abs=0.08)


def test_no_ranking_and_no_bad_masks():
    assert report.spearman(np.zeros(10), IOUS) == 0
    assert report.auroc(IOUS, np.ones(10)) == 0.5
    assert report.found_of_few(IOUS, np.ones(10)) == 0


def test_curve_ends_at_the_mean():
    curve = report.curve(IOUS, IOUS, np.array([0.1, 0.2, 1.0]))
    assert curve == pytest.approx([0.5, 0.55, IOUS.mean()])


def test_ours_is_compared_with_every_baseline(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESAMPLES", 100)
    train, test = records(200, 1), records(60, 2)
    model = fit(train, members=1, epochs=10)
    scores = report.score_all(model, train, test)
    rows, ahead = report.bootstrap(test, scores)
    assert set(ahead) == set(scores) - {report.OURS}
    ours, random = rows[report.OURS]["Spearman"], rows["random"]["Spearman"]
    assert ours.low > random.high
    assert ours.low <= ours.value <= ours.high
    assert ahead["random"]["Spearman"].low > 0
    assert rows["oracle"]["Spearman"].value == pytest.approx(1)
    assert report.table(rows).count("\n") == len(rows) + 1
    assert "60 annotations of 30 images by test" in report.composition(test)
    assert "| test | 60 |" in report.by_kind(test, scores[report.OURS])
    report.draw({"shapes": (test, scores)}, tmp_path / "q.png")
    assert (tmp_path / "q.png").stat().st_size > 5_000
