"""Which label a mask has that the editor saves in several results."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.label_studio import mask_regions
from backend.label_studio.mask_formats import rle
from tests.backend.drawn_regions import box, brush


def named(number: str, mask: np.ndarray, label: str, row: str = "label") -> dict[str, Any]:
    """What the editor adds to a mask when a label of <Labels> is chosen."""
    value = {"format": "rle", "rle": list(rle.encode(mask)), "labels": [label]}
    return {**brush(number, mask), "type": "labels", "from_name": row, "value": value}


def labels_of(*results: dict[str, Any], remarks: tuple[str, ...] | None = None) -> tuple[str, ...]:
    told = None if remarks is None else lambda _: frozenset(remarks)
    (region,) = mask_regions.accepted(results, told)
    return region.labels


def test_the_label_that_was_chosen_last_counts() -> None:
    mask = box(0, 0, 9, 9)
    meta = {"labels": ["Cat"], "prompts": ["k"]}
    assert labels_of(brush("a", mask), named("a", mask, "Dog")) == ("Dog",)
    assert labels_of(named("a", mask, "Dog"), brush("a", mask)) == ("Dog",)
    assert labels_of(brush("a", mask, meta=meta), named("a", mask, "Dog")) == ("Dog",)
    # The row still has the suggestion's label, so that it was the mask's own that was changed.
    assert labels_of(brush("a", mask, "Dog", meta=meta), named("a", mask, "Cat")) == ("Dog",)


def test_what_was_still_selected_out_of_sight_names_no_mask() -> None:
    """The hidden row keeps the earlier label of a mask that was renamed, and gives it to all that follow."""
    mask = box(0, 0, 9, 9)
    accepted = brush("a", mask, "Dog", meta={"labels": ["Cat"], "prompts": ["k"]}, origin="prediction")
    assert labels_of(accepted, named("a", mask, "Cat")) == ("Cat",)
    assert labels_of(accepted, named("a", mask, "Cat"), remarks=("occluded",)) == ("Cat",)
    assert labels_of(accepted, named("a", mask, "Cow")) == ("Cow",)


def test_a_remark_about_a_mask_is_not_its_label() -> None:
    mask = box(0, 0, 9, 9)
    occluded, cat = named("a", mask, "occluded", "cond"), named("a", mask, "Cat")
    for meta in ({"labels": ["Cat"], "clicks": 1}, {"clicks": 1}, {}):
        drawn = brush("a", mask, meta=meta)
        for results in ((drawn, cat, occluded), (drawn, occluded, cat), (occluded, drawn, cat)):
            assert labels_of(*results) == labels_of(*results, remarks=("occluded",)) == ("Cat",)
        assert labels_of(drawn, occluded, remarks=("occluded",)) == ("Cat",)
        renamed = (drawn, occluded, named("a", mask, "Dog"))
        assert labels_of(*renamed, remarks=("occluded", "blurred")) == ("Dog",)
    # Suggested where no row names masks, which the config need not say.
    assert labels_of(brush("a", mask, meta={"clicks": 1}), occluded) == ("Cat",)


def test_masks_of_controls_without_labels_are_named_by_the_row() -> None:
    mask = box(0, 0, 9, 9)
    plain = {**brush("a", mask), "type": "brush"}
    plain["value"] = {"format": "rle", "rle": plain["value"]["rle"]}
    assert labels_of(plain) == ()
    assert labels_of(plain, named("a", mask, "Dog")) == ("Dog",)
    assert labels_of(named("a", mask, "Dog")) == ("Dog",)
    suggested = {**plain, "meta": {"labels": ["Dog"], "clicks": 1}}
    assert labels_of(suggested, named("a", mask, "blurred", "cond"), named("a", mask, "Dog")) == ("Dog",)
