"""The picture of a verdict: which objects it shows, and that it is there."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from fine_tune.project.judging import picture
from fine_tune.project.judging.gate import Measured, Verdict
from model.click import Click
from model.evaluation.report import Record, Report
from model.scene import Sample
from tests.fine_tune.shape_scenes import shape_scene

VERDICT = Verdict(True, "better on 8 held-out objects of 8 images: clicks to IoU 0.90 6.0 -> 3.0", 8, 8)
SAMPLES = [
    Sample(f"image-{n}#0", partial(lambda n: shape_scene(np.random.default_rng(n)), n)) for n in range(8)
]


class Half:
    """Marks the left part of every image."""

    def predict_many(self, requests):
        return [np.where(np.arange(96) < 50, 255, 0)[None].repeat(96, 0).astype(np.uint8) for _ in requests]


def measured(needed: list[int]) -> Measured:
    records = [
        Record(sample.id, tuple(0.95 if k >= n else 0.4 for k in range(1, 11)), (Click(30.5, 48.5),) * n, 0.0)
        for sample, n in zip(SAMPLES, needed, strict=True)
    ]
    return Measured({"classic": Report(records), "noisy": Report(records)})


def test_objects_are_shown_from_the_best_to_the_worst():
    before, after = measured([6] * 8), measured([6, 1, 9, 5, 4, 3, 2, 7])
    shown = picture.typical(before, after)
    assert len(shown) == 5
    assert (shown[0], shown[-1]) == ("image-1#0", "image-2#0")
    saved = {f"image-{n}#0": 6 - k for n, k in enumerate([6, 1, 9, 5, 4, 3, 2, 7])}
    assert [saved[name] for name in shown] == sorted((saved[name] for name in shown), reverse=True)


def test_the_picture_is_written(tmp_path: Path):
    path = tmp_path / "pictures" / "project-3-1-0a1b2c3d.png"
    sides = [(Half(), measured([6] * 8)), (Half(), measured([3] * 8))]
    picture.draw(path, "project-3-1-0a1b2c3d", VERDICT, SAMPLES, *sides)
    height, width, _ = cv2.imread(str(path)).shape
    assert min(height, width) > 800


def test_a_picture_that_fails_is_only_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "pictures").write_text("a file")
    side = (Half(), measured([6] * 8))
    picture.draw(tmp_path / "pictures" / "a.png", "a", VERDICT, SAMPLES, side, side)
    assert "cannot be drawn" in caplog.text
