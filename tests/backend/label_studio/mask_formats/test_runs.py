from __future__ import annotations

import numpy as np
import pytest

from backend.label_studio.mask_formats import bitmask, rle
from backend.label_studio.mask_formats.runs import Runs


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    blob = np.zeros((20, 30), bool)
    blob[5:9, 3:17] = True
    return [blob, rng.random((20, 30)) > 0.7, np.ones((20, 30), bool)]


@pytest.mark.parametrize("mask", masks())
def test_both_formats_give_the_same_runs(mask: np.ndarray) -> None:
    brush = Runs.of_rle(list(rle.encode(mask)), *mask.shape)
    pixels = Runs.of_bitmask(bitmask.encode(mask), *mask.shape)
    for runs in (brush, pixels):
        assert np.array_equal(runs.mask(30), mask)
        assert [runs.covers(index) for index in range(600)] == mask.ravel().tolist()


def test_the_box_is_around_the_mask() -> None:
    assert Runs.of_rle(list(rle.encode(masks()[0])), 20, 30).box == (3, 5, 17, 9)
    assert Runs.of_rle(list(rle.encode(np.zeros((20, 30), bool))), 20, 30).box is None


def test_the_same_code_for_another_size_is_another_mask() -> None:
    code = list(rle.encode(masks()[0]))
    assert Runs.of_rle(code, 20, 30).box != Runs.of_rle(code, 30, 20).box


@pytest.mark.parametrize("content", [None, 5, "x", [300], ["a"], [1, 2, 3]])
def test_nonsense_is_a_value_error(content: object) -> None:
    for read in (Runs.of_rle, Runs.of_bitmask):
        with pytest.raises(ValueError, match="."):
            read(content, 20, 30)
