import json

import numpy as np
import pytest

from backend.label_studio.mask_formats import bitmask, digest, polygon, rle
from tests.backend.drawn_regions import box, faint

MASK = box(20, 20, 60, 60)


def test_a_mask_has_one_digest_however_it_is_written() -> None:
    written = (
        rle.decode(faint(list(rle.encode(MASK))), 100, 200) > 50,
        bitmask.decode(bitmask.encode(MASK), 100, 200),
    )
    assert {digest.of_mask(np.asarray(pixels, bool)) for pixels in (MASK, *written)} == {digest.of_mask(MASK)}


@pytest.mark.parametrize(
    "other",
    [
        box(20, 20, 60, 61),
        box(21, 20, 61, 60),
        box(0, 0, 0, 0),
        MASK ^ box(30, 30, 31, 31),
        MASK[:99],
        MASK.T,
    ],
)
def test_any_other_mask_has_another(other: np.ndarray) -> None:
    assert digest.of_mask(np.ascontiguousarray(other)) != digest.of_mask(MASK)


def test_points_have_one_that_a_way_through_json_does_not_change() -> None:
    points = polygon.from_mask(MASK)
    there = json.loads(json.dumps(points).replace(".0,", ","))  # as a browser writes whole numbers
    assert digest.of_points(there) == digest.of_points(points)
    points[0][1] += 0.001
    assert digest.of_points(there) != digest.of_points(points)
