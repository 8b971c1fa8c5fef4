"""Masks that annotators draw with the editor's own tools, as drafts hold them before they are submitted."""

import pytest

from backend.label_studio import mask_regions
from backend.label_studio.mask_formats import bitmask, digest
from tests.backend.drawn_regions import box, brush, stroke


def test_drafts_tell_what_was_painted_since_in_strokes() -> None:
    """A draft holds the old code, or none; the code of the whole mask comes with the annotation."""
    meta = {"digest": digest.of_mask(box(20, 20, 60, 60))}
    painted = brush("a", box(20, 20, 60, 60), origin="prediction-changed", meta=meta)
    assert mask_regions.accepted([painted])[0].untouched
    painted["value"]["touches"] = [stroke("eraser", 10, 40, 40, 40), stroke("add", 75, 40, 75, 80)]
    (region,) = mask_regions.accepted([painted])
    assert region.box == pytest.approx((20, 20, 160, 90), abs=1)
    assert not region.untouched
    assert [region.contains(*at) for at in ((40, 25), (40, 40), (150, 60))] == [True, False, True]
    del painted["value"]["rle"]
    assert mask_regions.accepted([painted])[0].box == pytest.approx((140, 30, 160, 90), abs=1)
    painted["value"] = {"maskDataURL": bitmask.encode(box(0, 0, 9, 9)), "brushlabels": ["Cat"]}
    assert mask_regions.accepted([painted])[0].box == (0, 0, 9, 9)


def test_what_was_drawn_with_a_magic_wand_is_a_mask() -> None:
    wand = brush("a", box(20, 20, 60, 60), type="magicwand", from_name="wand")
    del wand["value"]["brushlabels"]
    (region,) = mask_regions.accepted([wand])
    assert (region.shape, region.labels) == ("brush", ())
    named = {**wand, "type": "labels", "value": {**wand["value"], "labels": ["Cat"]}}
    assert [region.labels for region in mask_regions.accepted([wand, named])] == [("Cat",)]
