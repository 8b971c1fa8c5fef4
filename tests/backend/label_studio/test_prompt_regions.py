"""One keypoint or rectangle: its place in pixels, its polarity wherever it is told, its labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from backend.json_fields import Field, RequestError
from backend.label_studio.prompt_regions import Box, Named, PromptRegion, names_of, polarity
from model.click import Click
from tests.backend.predict_bodies import keypoint, rectangle


def read(entry: dict[str, Any], named: Sequence[Named] = ()) -> PromptRegion:
    return PromptRegion.read(Field(entry), named)


def test_percent_becomes_pixels() -> None:
    assert read(keypoint("a", 25, 50)).click(True) == Click(50, 50, True)
    assert read(rectangle("a", 50, 50, 25, 40)).box() == Box(100, 50, 150, 90)


@pytest.mark.parametrize(
    ("x", "y", "pixel"), [(100, 100, (99, 199)), (-0.5, 102, (99, 0)), (103, -3, (0, 199))]
)
def test_a_click_on_or_slightly_over_the_edge_is_moved_inside(
    x: float, y: float, pixel: tuple[int, int]
) -> None:
    click = read(keypoint("a", x, y)).click(True)
    assert 0 <= click.x < 200
    assert 0 <= click.y < 100
    assert click.pixel(100, 200) == pixel


def test_a_click_far_outside_is_no_click() -> None:
    with pytest.raises(RequestError, match="percent of the image"):
        read(keypoint("a", 120, 50)).click(True)


def test_a_rectangle_is_cut_to_the_image_and_never_empty() -> None:
    assert read(rectangle("a", -10, 90, 300 / 2, 50)).box() == Box(0, 90, 200, 100)
    assert read(rectangle("a", 100, 100, 0, 0)).box() == Box(199, 99, 200, 100)


def test_a_turned_rectangle_becomes_its_bounding_box() -> None:
    entry = rectangle("a", 50, 20, 20, 10)
    entry["value"]["rotation"] = 90
    box = read(entry).box()
    # 40x10 pixels turned clockwise around (100, 20): 10 to the left, 40 down.
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((90, 20, 100, 60))


@pytest.mark.parametrize(
    ("place", "flag", "positive"),
    [
        ("", {"is_positive": True}, True),
        ("", {"is_positive": False}, False),
        ("value", {"is_positive": True}, True),
        ("value", {"is_positive": False}, False),
        ("value", {"positive": False}, False),
        ("", {"positive": "false"}, False),
        ("", {"negative": True}, False),
        ("value", {"is_negative": 1}, False),
        ("value", {"positive": 1}, True),
        ("", {"isPositive": False}, False),
        ("", {}, None),
    ],
)
def test_polarity_is_understood_wherever_a_sender_puts_it(
    place: str, flag: dict[str, Any], positive: bool | None
) -> None:
    entry = keypoint("a", 1, 1, None)
    (entry[place] if place else entry).update(flag)
    assert polarity(Field(entry)) is positive
    assert read(entry).positive is positive


@pytest.mark.parametrize(
    ("flag", "positive"),
    [
        *(
            (flag, True)
            for flag in (True, 1, 1.0, 10**400, "true", "True", " yes ", "1", "on", "positive", "+")
        ),
        *((flag, False) for flag in (False, 0, 0.0, -1, "negative", "neg", "f", "n", "No", "off", "-1")),
        *((flag, False) for flag in (" false", "0", "-")),
    ],
)
def test_a_polarity_is_understood_however_it_is_written(flag: Any, positive: bool) -> None:
    assert read({**keypoint("a", 1, 1, None), "is_positive": flag}).positive is positive
    contrary = {**keypoint("a", 1, 1, None), "is_negative": flag}
    named = isinstance(flag, str) and flag in ("positive", "+", "negative", "neg", "-")
    assert read(contrary).positive is (positive if named else not positive)


@pytest.mark.parametrize("flag", ["", "maybe", [], {}, [False], math.nan])
def test_a_polarity_that_tells_nothing_is_no_guess(flag: Any) -> None:
    entry = keypoint("a", 1, 1, None)
    entry["value"]["positive"] = flag
    with pytest.raises(RequestError, match=r"^value\.positive: got .*; send true or false"):
        read(entry)


@pytest.mark.parametrize("flag", [True, False])
def test_polarity_may_be_on_the_label(flag: bool) -> None:
    entry = keypoint("a", 10, 10, None)
    entry["value"]["keypointlabels"] = [{"value": "Cat", "is_positive": flag}]
    assert (read(entry).positive, read(entry).labels) == (flag, ("Cat",))


DOG = [("row", ("Dog",))]


def test_labels_of_the_prompt_itself_come_before_those_of_other_elements() -> None:
    assert read(keypoint("a", 1, 1), DOG).labels == ("Cat",)
    plain = {**keypoint("a", 1, 1), "type": "keypoint", "value": {"x": 1, "y": 1}}
    assert read(plain, DOG).labels == ("Dog",)
    assert (read(plain).labels, read(plain).controls) == ((), ("kp",))
    assert read(plain, DOG).controls == ("kp", "row")


def test_a_control_with_labels_may_be_used_without_one() -> None:
    """As the editor sends it where the config says allowEmpty."""
    empty = keypoint("a", 1, 1)
    empty["value"] |= {"keypointlabels": [], "labels": []}
    assert (read(empty).labels, read(empty, DOG).labels) == ((), ("Dog",))
    empty["value"]["labels"] = ["Cat"]
    assert read(empty, DOG).labels == ("Cat",)
    del empty["value"]["keypointlabels"], empty["value"]["labels"]
    assert read(empty, DOG).labels == ("Dog",)
    with pytest.raises(RequestError, match=r"keypointlabels: missing; send the label that is selected"):
        read(empty)


def test_names_are_read_from_labels_of_any_kind_and_from_nothing_else() -> None:
    assert names_of({"type": "brushlabels", "value": {"brushlabels": ["Cat", 5, "Dog"]}}) == ("Cat", "Dog")
    assert names_of({"type": "labels", "value": {"labels": ["Cat"]}}) == ("Cat",)
    for odd in (None, "x", {}, {"type": "keypoint", "value": {"keypoint": ["Cat"]}}, {"type": "labels"}):
        assert names_of(odd) == ()


def test_prompts_of_one_object_have_their_group_in_common() -> None:
    one, same, other = keypoint("a", 1, 1), keypoint("b", 9, 9), keypoint("c", 1, 1, label="Dog")
    assert read(one).group == read(same).group != read(other).group
    assert read({**one, "item_index": 1}).group != read(one).group
