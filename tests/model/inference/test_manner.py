"""What a card may say of how its network is asked."""

from __future__ import annotations

from typing import Any

import pytest

from model.inference.manner import Manner, at_size


def test_a_card_without_says_the_default() -> None:
    assert Manner.of({"size": 384}) == Manner()
    assert Manner.of({"inference": {"flip": True, "large_size": 672}}) == Manner(flip=True, large_size=672)


@pytest.mark.parametrize(
    ("inference", "complaint"),
    [
        ({"stretch": 1}, "stretch is 1; it must be true or false"),
        ({"expansion": "1.4"}, "expansion is '1.4'; it must be a number"),
        ({"expansion": float("nan")}, "expansion is nan"),
        ({"expansion": 0.5}, "expansion is 0.5"),
        ({"min_side": 0}, "min_side is 0"),
        ({"threshold": 1}, "threshold is 1"),
        ({"large_size": 670}, "large_size is 670; it must be null or a multiple of 32"),
        ({"large_from": -1}, "large_from is -1"),
        ({"flipped": True}, "flipped is unknown; use stretch, "),
        ([], "must be an object"),
    ],
)
def test_other_values_are_refused(inference: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Manner.of({"inference": inference})


def test_another_size_is_for_images_of_any_size() -> None:
    assert at_size({"size": 384, "parent": None}, 256) == {"size": 256, "parent": None}
    card = at_size({"size": 448, "inference": {"flip": True, "large_size": 672, "large_from": 800}}, 672)
    assert card == {"size": 672, "inference": {"flip": True}}
