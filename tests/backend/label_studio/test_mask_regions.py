"""Masks in the results of annotations and drafts."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pytest

from backend.label_studio import mask_regions
from backend.label_studio.mask_formats import bitmask, polygon, rle
from tests.backend import recordings
from tests.backend.drawn_regions import box, brush, faint
from tests.backend.predict_bodies import keypoint, rectangle


def shape(number: str, mask: np.ndarray) -> dict[str, Any]:
    value = {"points": polygon.from_mask(mask), "closed": True, "polygonlabels": ["Cat"]}
    return {**brush(number, mask), "type": "polygonlabels", "from_name": "poly", "value": value}


def test_recorded_annotation_gives_its_masks() -> None:
    cat, dog = mask_regions.accepted(recordings.submitted("26_"))
    assert (cat.labels, dog.labels) == (("Cat",), ("Dog",))
    assert cat.origin == "prediction"
    mask = cat.mask()
    assert mask.shape == (480, 640)
    assert 0.001 < mask.mean() < 0.5
    row, column = np.argwhere(mask)[0]
    assert cat.contains(column + 0.9, row)
    assert not cat.contains(column, row - 1)


def test_recorded_keypoint_with_an_rle_is_not_a_second_mask() -> None:
    results = recordings.submitted("33_")
    assert [entry["type"] for entry in results] == ["brushlabels", "keypointlabels"]
    assert [region.shape for region in mask_regions.accepted(results)] == ["brush"]


def test_recorded_keypoints_saved_without_their_mask_give_nothing() -> None:
    assert mask_regions.accepted(recordings.submitted("31_")) == []


def test_recorded_polygon_is_a_mask() -> None:
    (region,) = mask_regions.accepted(recordings.submitted("44_"))
    assert region.labels == ("Dog",)
    assert region.mask()[int(0.4 * region.height), int(0.33 * region.width)]


def test_other_results_are_left_out() -> None:
    results = [
        rectangle("r", 1, 1, 5, 5),
        keypoint("k", 1, 1),
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {"type": "brushlabels", "value": {"brushlabels": ["Cat"]}},
        {"type": "brushlabels", "value": None},
        {**brush("a", box(0, 0, 9, 9)), "original_width": 0},
        "text",
        None,
    ]
    assert mask_regions.accepted(results) == []


def test_soft_edges_are_cut_at_one_half() -> None:
    entry = brush("a", box(0, 0, 1, 1))
    entry["original_width"], entry["original_height"] = 4, 1
    # Four pixels with alpha 0, 127, 128 and 255, all four channels alike.
    bits = f"{16:032b}{7:05b}0010001101111111" + "".join(f"100011{alpha:08b}" for alpha in (0, 127, 128, 255))
    bits += "0" * (-len(bits) % 8)
    entry["value"]["rle"] = list(int(bits, 2).to_bytes(len(bits) // 8, "big"))
    (region,) = mask_regions.accepted([entry])
    assert region.mask().tolist() == [[False, False, True, True]]
    assert [region.contains(x + 0.5, 0) for x in range(-1, 5)] == [False, False, False, True, True, False]


def test_polygon_and_brush_agree_about_their_pixels() -> None:
    mask = box(20, 30, 60, 70)
    for region in mask_regions.accepted([brush("a", mask), shape("b", mask)]):
        assert np.array_equal(region.mask(), mask)
        points = [(20, 30), (59.9, 69.9), (19.9, 30), (60, 50), (-1, 50), (50, 1000)]
        assert [region.contains(x, y) for x, y in points] == [True, True, False, False, False, False]


def test_regions_of_one_answer_are_one_object() -> None:
    left, right = box(0, 0, 20, 20), box(50, 50, 90, 90)
    ids = ["cm0123456789ab", "cm0123456789ab-2", "xxxxxxxx-2"]
    first, other = mask_regions.objects(
        mask_regions.accepted([shape(ids[0], left), shape(ids[1], right), shape(ids[2], right)])
    )
    assert (first.id, other.id) == (ids[0], ids[2])
    assert np.array_equal(first.mask(), left | right)
    assert first.contains(60, 60)


def test_an_object_that_another_one_goes_on_from_does_not_count_twice() -> None:
    """As corrected bitmasks are saved, which the editor cannot replace."""
    made = {number: {"model_version": "v", "prompts": list(number)} for number in ("a", "ab", "abc", "d")}
    regions = mask_regions.accepted(
        [brush(f"region-{number}", box(10, 10, 60, 50), meta=meta) for number, meta in made.items()]
        + [brush("hand", box(10, 10, 60, 50)), brush("copy", box(10, 10, 60, 50), meta=made["d"])]
    )
    found = [entry.id for entry in mask_regions.objects(regions)]
    assert found == ["region-abc", "region-d", "hand", "copy"]


def test_objects_of_other_images_are_other_objects() -> None:
    meta = [{"model_version": "v", "prompts": prompts} for prompts in (["a"], ["a", "b"], ["a", "b", "c"])]
    results = [brush(f"region-{n}", box(10, 10, 60, 50), meta=each) for n, each in enumerate(meta)]
    results[0]["item_index"], results[2]["item_index"] = 0, 1
    found = mask_regions.objects(mask_regions.accepted(results))
    assert [(entry.id, entry.image[1]) for entry in found] == [("region-1", 0), ("region-2", 1)]


def test_many_objects_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, real = [], mask_regions.AcceptedObject.prompts
    counted = property(lambda self: reads.append(self) or real.fget(self))
    monkeypatch.setattr(mask_regions.AcceptedObject, "prompts", counted)
    meta = [{"model_version": "v", "prompts": [str(n)]} for n in range(100)]
    results = [brush(f"region-{n}", box(10, 10, 60, 50), meta=each) for n, each in enumerate(meta)]
    assert len(mask_regions.objects(mask_regions.accepted(results))) == 100
    assert len(reads) <= 300


def test_brush_is_preferred_to_its_polygon() -> None:
    mask = box(0, 0, 20, 20)
    (both,) = mask_regions.objects(
        mask_regions.accepted([shape("cm0123456789ab-2", box(0, 0, 90, 90)), brush("cm0123456789ab", mask)])
    )
    assert np.array_equal(both.mask(), mask)
    assert not both.contains(50, 50)


def test_box_is_around_the_mask() -> None:
    rows = np.zeros((100, 200), bool)
    rows[10:12, 190:], rows[12, :5] = True, True  # one run goes over the edge
    for mask in (box(20, 30, 60, 70), rows, np.eye(100, 200, dtype=bool)):
        (brushed,) = mask_regions.accepted([brush("a", mask)])
        ys, xs = np.nonzero(mask)
        assert brushed.box is not None
        left, top, right, bottom = brushed.box
        assert (top, bottom) == (ys.min(), ys.max() + 1)
        assert left <= xs.min() < xs.max() + 1 <= right
    (outline,) = mask_regions.accepted([shape("p", box(20, 30, 60, 70))])
    assert outline.box == pytest.approx((20, 30, 60, 70), abs=1)
    (empty,) = mask_regions.accepted([brush("a", np.zeros((100, 200), bool))])
    assert empty.box is None


def test_prompts_of_the_corrected_object_are_known() -> None:
    (entry,) = mask_regions.accepted(
        [brush("a", box(0, 0, 9, 9), meta={"prompts": ["p", "q", 5], "clicks": 2})]
    )
    assert entry.meta.prompts == ("p", "q")
    assert mask_regions.objects([entry])[0].prompts == ("p", "q")
    assert mask_regions.accepted([brush("a", box(0, 0, 9, 9), meta="x")])[0].meta.prompts == ()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("brushlabels", {"rle": 10**12}),
        ("brushlabels", {"rle": "x"}),
        ("brushlabels", {"maskDataURL": bitmask.encode(np.ones((5, 5), bool))}),
        ("brushlabels", {"touches": "x"}),
        ("brushlabels", {"rle": [1, 2, 3]}),
        ("brushlabels", {"rle": ["a"] * 20}),
        ("brushlabels", {"rle": list(rle.encode(np.ones((5, 5), bool)))}),
        ("polygonlabels", {"points": "x"}),
        ("polygonlabels", {"points": [[1, None]] * 3}),
        ("polygonlabels", {"points": [[1, 1], [2, 2]]}),
        ("polygon", {"points": [[1, 1], [2, math.nan], [3, 3]]}),
        ("polygon", {"points": [[1, 1], [2, 10**400], [3, 3]]}),
        ("polygon", {"points": [[1e308, 1e308], [-1e308, 3], [4, 5]]}),
        ("bitmasklabels", {"imageDataURL": 5}),
        ("bitmasklabels", {"imageDataURL": "data:image/png;base64,AAAA"}),
        ("bitmask", {"imageDataURL": bitmask.encode(np.ones((5, 5), bool))}),
    ],
)
def test_one_malformed_region_is_left_out_and_told(
    kind: str, content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = (
        {**brush("bad", box(0, 0, 9, 9)), "type": kind, "value": content},
        brush("good", box(0, 0, 9, 9)),
    )
    with caplog.at_level(logging.WARNING):
        assert [region.id for region in mask_regions.accepted([bad, good])] == ["good"]
    assert "region bad is left out" in caplog.text


RECORDED = {"73_": [("regDxH1VO", "brush", ("Spoon",)), ("rega_oE6e", "brush", ("Spoon",))]}
RECORDED["78_"] = [("regxtxtga", "bitmask", ("Cup",))]
RECORDED["79_"] = [("reg3S93Rw", "brush", ("Cup",)), ("reg6ExcyD", "brush", ("Spoon",))]


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_results_of_one_id_are_one_region(name: str) -> None:
    results = recordings.body(name)["annotation"]["result"]
    found = mask_regions.accepted(results)
    assert [(region.id, region.shape, region.labels) for region in found] == RECORDED[name]
    assert all(region.mask().any() for region in found)


def test_a_bitmask_is_a_mask() -> None:
    mask = box(20, 20, 60, 60)
    entry = {**brush("a", mask), "type": "bitmasklabels"}
    entry["value"] = {"imageDataURL": bitmask.encode(mask), "bitmasklabels": ["Cat"]}
    (region,) = mask_regions.accepted([entry])
    assert np.array_equal(region.mask(), mask)
    assert region.box == (20, 20, 60, 60)
    assert (region.contains(30, 30), region.contains(70, 30)) == (True, False)


@pytest.mark.parametrize("size", [None, 0, -200, 200.5, math.inf, math.nan, 10**400, True, "wide", [200]])
def test_a_mask_without_a_size_is_left_out_and_told(size: Any, caplog: pytest.LogCaptureFixture) -> None:
    entries = [brush("bad", box(0, 0, 9, 9), original_width=size), brush("good", box(0, 0, 9, 9))]
    with caplog.at_level(logging.WARNING):
        assert [region.id for region in mask_regions.accepted(entries)] == ["good"]
    assert "region bad is left out, it holds no mask: original_width is" in caplog.text


@pytest.mark.parametrize(
    "size", [{}, {"original_width": None}, {"original_width": 1000, "original_height": 500}]
)
def test_a_polygon_fits_an_image_of_any_size(size: dict[str, Any]) -> None:
    entry = shape("p", box(20, 30, 60, 70)) | size
    if not size:
        del entry["original_width"], entry["original_height"]
    (found,) = mask_regions.objects(mask_regions.accepted([entry]))
    assert np.array_equal(found.fitted(100, 200).mask(), box(20, 30, 60, 70))
    (painted,) = mask_regions.objects(mask_regions.accepted([brush("a", box(0, 0, 9, 9))]))
    assert painted.fitted(50, 50) == painted


def test_a_polygon_of_no_size_has_no_mask_by_itself() -> None:
    (region,) = mask_regions.accepted([shape("p", box(20, 30, 60, 70)) | {"original_height": None}])
    assert region.box is None and not region.contains(0, 0)
    with pytest.raises(ValueError, match="give original_width and original_height"):
        region.mask()


def test_masks_without_an_id_are_objects_of_their_own() -> None:
    left, right = brush("", box(0, 0, 9, 9)), brush("", box(50, 0, 99, 99), meta=None)
    del left["id"]
    found = mask_regions.objects(mask_regions.accepted([left, right]))
    assert [np.count_nonzero(entry.mask()) for entry in found] == [81, 49 * 99]


def test_masks_of_other_tools_are_masks() -> None:
    """A faint brush (alpha 100), and sizes as floating-point numbers or texts."""
    entry = brush("a", box(20, 20, 60, 60))
    entry["value"]["rle"] = faint(entry["value"]["rle"])
    entry |= {"original_width": 200.0, "original_height": "100"}
    (region,) = mask_regions.accepted([entry])
    assert (region.height, region.width) == (100, 200)
    assert np.array_equal(region.mask(), box(20, 20, 60, 60))


def test_a_mask_that_nobody_touched_is_not_decoded_to_know_where_it_is() -> None:
    meta = {"box": [20, 20, 60, 60]}
    broken = brush("a", box(20, 20, 60, 60), meta=meta, origin="prediction")
    broken["value"]["rle"] = broken["value"]["rle"][:-3]
    (region,) = mask_regions.accepted([broken])
    assert region.box == (20, 20, 60, 60)
    touched = brush("a", box(0, 0, 9, 9), meta=meta, origin="prediction-changed")
    assert mask_regions.accepted([touched])[0].box == (0, 0, 9, 9)


def test_the_size_of_an_object_is_known_where_its_mask_can_be_decoded() -> None:
    def size(*entries: dict[str, Any]) -> tuple[int, int]:
        (found,) = mask_regions.objects(mask_regions.accepted(entries))
        return found.size()

    mask = box(20, 20, 60, 60)
    first, second = "cm0123456789ab", "cm0123456789ab-2"
    bits = {**brush("a", mask), "type": "bitmasklabels", "value": {"imageDataURL": bitmask.encode(mask)}}
    assert size(brush("a", mask)) == size(shape("a", mask)) == size(bits) == (100, 200)
    broken = brush("a", mask, meta={"box": [20, 20, 60, 60]}, origin="prediction")
    broken["value"]["rle"] = broken["value"]["rle"][:-3]
    with pytest.raises(ValueError, match="the RLE tells only"):
        size(broken)
    bits["value"]["imageDataURL"] = bits["value"]["imageDataURL"][:-20]
    with pytest.raises(ValueError, match="damaged"):
        size(bits)
    zigzag = shape("a", mask)
    zigzag["value"]["points"] = [[50, 0], [50, 100]] * 6000
    with pytest.raises(ValueError, match="zigzags"):
        size(zigzag)
    with pytest.raises(ValueError, match=r"several sizes .*\[\(50, 200\), \(100, 200\)\]"):
        size(shape(first, mask), {**shape(second, mask), "original_height": 50})
