import math
from dataclasses import replace
from typing import Any

import pytest

from backend.label_studio.region_meta import RegionMeta
from model.click import Click

META = RegionMeta(
    (Click(1.5, 2.25), Click(3, 4, positive=False)),
    "base-1-0a1b2c3d",
    2,
    ("k1", "k2"),
    ("Cup",),
    (0, 1, 5, 9),
    digest="0123456789abcdef",
)


def test_what_is_written_is_read() -> None:
    assert RegionMeta.read(META.to_json()) == META


@pytest.mark.parametrize(
    "nonsense", [None, 3, "abc", [1, 2], {"points": 3}, {"points": [[1, 2]]}, {"prompts": "k"}]
)
def test_what_others_wrote_is_nothing(nonsense: Any) -> None:
    assert RegionMeta.read(nonsense) == RegionMeta()


def test_what_is_left_of_a_damaged_one_counts() -> None:
    damaged = {**META.to_json(), "points": [["x", 2, 1]], "clicks": "2"}
    assert RegionMeta.read(damaged) == replace(META, points=(), clicks=None)
    for point in ([math.nan, 2, 1], [1, -math.inf, 1], [10**400, 2, 1]):
        assert RegionMeta.read({"points": [[3, 4, 1], point]}).points == ()
    for box in ([1, 2, 3], [5, 5, 5, 9], [-1, 0, 5, 5], ["a", 0, 5, 5], "x"):
        assert RegionMeta.read({**META.to_json(), "box": box}).box is None


def test_what_nobody_needs_is_left_out() -> None:
    assert set(RegionMeta().to_json()) == {"points", "model_version", "clicks", "prompts"}
