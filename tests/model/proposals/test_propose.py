"""From peaks to masks: the better of two claims keeps what both want."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.inference.predictor import Request
from model.proposals.head import Peak
from model.proposals.propose import propose, stability


class Peaks:
    """A heat map whose peaks are given."""

    def __init__(self, *peaks: Peak) -> None:
        self.given = peaks

    def peaks(self, image: np.ndarray, least: float, most: int) -> list[Peak]:
        return list(self.given[:most])


class Squares:
    """A click model that answers every click with the 21 pixels around it."""

    def predict_many(self, requests: Sequence[Request]) -> list[np.ndarray]:
        maps = []
        for request in requests:
            row, column = request.clicks[0].pixel(*request.image.shape[:2])
            answer = np.zeros(request.image.shape[:2], np.uint8)
            answer[max(row - 10, 0) : row + 11, max(column - 10, 0) : column + 11] = 250
            maps.append(answer)
        return maps

    def look_again(self, requests: Sequence[Request], maps: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(maps)


def centres(*peaks: Peak, most: int = 10) -> list[tuple[float, float]]:
    found = propose(Peaks(*peaks), Squares(), np.zeros((100, 120, 3), np.uint8), most)  # type: ignore[arg-type]
    assert all(p.mask.shape == (100, 120) and p.mask[p.click.pixel(100, 120)] for p in found)
    if found:
        assert np.sum([p.mask for p in found], 0).max() == 1
    return [(p.click.x, p.click.y) for p in found]


def test_masks_lie_where_the_peaks_are_best_first():
    assert centres(Peak(20.5, 30.5, 0, 0.5, 20), Peak(90.5, 70.5, 0, 0.9, 20)) == [(90.5, 70.5), (20.5, 30.5)]


def test_a_second_peak_of_one_object_is_left_out():
    assert centres(Peak(50.5, 50.5, 0, 0.9, 20), Peak(53.5, 50.5, 1, 0.8, 20)) == [(50.5, 50.5)]


def test_neighbours_that_overlap_little_share():
    assert len(centres(Peak(40.5, 50.5, 0, 0.9, 20), Peak(55.5, 50.5, 0, 0.8, 20))) == 2


def test_at_most_so_many():
    assert len(centres(Peak(20.5, 30.5, 0, 0.9, 20), Peak(90.5, 70.5, 0, 0.5, 20), most=1)) == 1


def test_no_peaks_no_proposals():
    assert centres() == []


def test_stability():
    assert stability(np.zeros((4, 4), np.uint8)) == 0
    assert stability(np.array([[255, 100], [200, 0]], np.uint8)) == 2 / 3
