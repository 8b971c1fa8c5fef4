"""Curves of IoU over clicks fill their box, and the labels say where."""

from __future__ import annotations

import pytest

from backend.web.chart import HEIGHT, LABELS, WIDTH, draw


def test_curves_fill_the_box() -> None:
    chart = draw([0.5, 0.75], [0.6, 1.0])
    assert chart.before == f"0.0,{HEIGHT:.1f} {WIDTH:.1f},{HEIGHT / 2:.1f}"
    assert chart.after == f"0.0,{0.8 * HEIGHT:.1f} {WIDTH:.1f},0.0"
    assert chart.rows[0] == (0.0, "1.00") and chart.rows[-1] == (HEIGHT, "0.50")
    assert chart.columns == [(0.0, "1"), (WIDTH, "2")]


@pytest.mark.parametrize("least", [0.0, 0.07, 0.31, 0.5, 0.77, 0.9, 0.93, 0.99, 1.0])
@pytest.mark.parametrize("clicks", [1, 4, 12, 20])
def test_everything_is_inside_and_labels_are_few(least: float, clicks: int) -> None:
    chart = draw([least] * clicks, [1.0] * clicks)
    places = [tuple(map(float, point.split(","))) for point in f"{chart.before} {chart.after}".split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert 2 <= len(chart.rows) <= LABELS + 1
    assert 1 <= len(chart.columns) <= LABELS + 1
    labels = [float(text) for _, text in chart.rows]
    assert labels[0] == 1.0 and labels[-1] <= least + 1e-9


def test_it_says_what_it_shows() -> None:
    assert draw([0.5, 0.6, 0.7], [0.8, 0.85, 0.9]).summary == "IoU after 3 clicks: 0.70 before, 0.90 after"
    assert draw([0.5], [0.8]).summary == "IoU after 1 clicks: 0.50 before, 0.80 after"
