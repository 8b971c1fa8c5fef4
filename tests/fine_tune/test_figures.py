"""Pictures are looked at by people; the tests check what was drawn and that it lands in the right file."""

import cv2
import numpy as np
import pytest

from fine_tune.figures import Panel, contact_sheet, curves, save
from model.click import Click
from model.evaluation.report import Record, Report


def report(*ious: float) -> Report:
    return Report([Record("one", ious, (Click(0.5, 0.5),), 0.1)])


def test_curves_are_the_reports(tmp_path):
    shown = {
        ("a", "classic"): report(0.5, 0.9),
        ("a", "noisy"): report(0.4, 0.8),
        ("b", "classic"): report(0.1, 0.2),
    }
    figure = curves(shown, "model x")
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}
    assert list(lines) == ["a, classic clicks (1)", "a, noisy clicks (1)", "b, classic clicks (1)"]
    first, second, third = lines.values()
    np.testing.assert_allclose(first.get_xydata(), [[1, 0.5], [2, 0.9]])
    assert first.get_color() == second.get_color() != third.get_color()
    assert (first.get_linestyle(), second.get_linestyle()) == ("-", "--")
    save(figure, tmp_path / "new/curve.svg")
    assert b"<svg" in (tmp_path / "new/curve.svg").read_bytes()
    save(figure, tmp_path / "curve.png")
    assert cv2.imread(str(tmp_path / "curve.png")).shape == (675, 1050, 3)


@pytest.fixture
def panel():
    truth = np.zeros((60, 80), bool)
    truth[10:40, 20:80] = True  # to the right border: the outline must close there
    clicks = (Click(50.5, 25.5), Click(5.5, 50.5, positive=False))
    return Panel("one: 0.50", np.full((60, 80, 3), 40, np.uint8), truth, np.zeros_like(truth), clicks)


def test_contact_sheet_shows_clicks_and_outlines(panel):
    figure = contact_sheet([panel] * 5, "worst")
    assert len(figure.axes) == 8  # two rows of four
    axes = figure.axes[0]
    assert axes.get_title() == "one: 0.50"
    dots = [(*line.get_xydata()[0], line.get_color()) for line in axes.get_lines()]
    assert dots == [(50.0, 25.0, "#00c040"), (5.0, 50.0, "#ff2020")]
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    outlines = [c for c in axes.collections if c.get_paths() and len(c.get_paths()[0].vertices)]
    assert len(outlines) == 1  # the empty mask has none
    points = outlines[0].get_paths()[0].vertices
    assert points.min(0) == pytest.approx((19.5, 9.5))
    assert points.max(0) == pytest.approx((79.5, 39.5))
    assert not figure.axes[7].get_images()
