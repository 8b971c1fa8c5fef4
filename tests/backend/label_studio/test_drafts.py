from typing import Any

from backend.label_studio.drafts import Saved, SavedWork
from tests.backend.predict_bodies import keypoint, rectangle


def saved(number: int, *results: Any, **fields: Any) -> dict[str, Any]:
    return {"id": number, "result": list(results), **fields}


def test_nonsense_counts_as_missing() -> None:
    read = Saved.read({"id": "x", "result": [None, 3, {"id": "a"}], "user": None, "updated_at": None})
    assert read == Saved(results=({"id": "a"},))
    assert Saved.read({"result": "x"}) == Saved()


def test_the_annotator_is_named_by_drafts_only() -> None:
    assert SavedWork.read([saved(1, user="a@example.com")], []).annotator == ""
    work = SavedWork.read([], [saved(1, user="a@example.com"), saved(2)])
    assert work.annotator == "a@example.com"


def test_drafts_are_shown_instead_of_submitted_annotations() -> None:
    annotations = [saved(1), saved(2, was_cancelled=True)]
    assert [entry.number for entry in SavedWork.read(annotations, []).shown] == [1]
    assert [entry.number for entry in SavedWork.read(annotations, [saved(3)]).shown] == [3]


def test_the_most_recent_is_shown_last() -> None:
    drafts = [saved(5, updated_at="2026-02"), saved(4, updated_at="2026-01"), saved(3, updated_at="2026-02")]
    assert [entry.number for entry in SavedWork.read([], drafts).shown] == [4, 3, 5]


def test_a_draft_knows_polarities_better_than_the_annotation_it_changes() -> None:
    old, new = keypoint("k1", 1, 1, positive=True), keypoint("k1", 1, 1, positive=False)
    work = SavedWork.read([saved(1, old, keypoint("k2", 1, 1))], [saved(2, new)])
    assert work.polarities == {"k1": False, "k2": True}


def test_a_saved_polarity_that_tells_nothing_is_none() -> None:
    odd = {**keypoint("k1", 1, 1, None), "is_positive": "maybe"}
    assert SavedWork.read([], [saved(2, odd, {**odd, "value": 5}, keypoint("k2", 1, 1))]).polarities == {
        "k2": True
    }


def test_prompts_of_accepted_masks_are_used_up_and_those_in_a_draft_are_pending() -> None:
    mask = {"id": "m", "type": "brushlabels", "meta": {"prompts": ["k1", 3]}}
    work = SavedWork.read([saved(1, mask, keypoint("k1", 1, 1))], [saved(2, keypoint("k2", 1, 1), mask)])
    assert work.made_from == work.used_clicks == {"k1"}
    assert work.pending_clicks == {"k2"}


def test_clicks_that_went_with_their_mask_are_not_used_up_should_they_come_back() -> None:
    mask = {"id": "m", "type": "brushlabels", "meta": {"prompts": ["k1"]}}
    assert SavedWork.read([], [saved(1, mask)]).used_clicks == set()


def test_what_has_a_relation_or_a_wands_picture_cannot_be_replaced() -> None:
    relation = {"type": "relation", "from_id": "cm0123456789ab-2", "to_id": "b", "direction": "right"}
    wand = {"id": "w", "type": "magicwand", "value": {"maskDataURL": "data:"}}
    odd = {"id": "a", "value": 5}, {"type": "relation"}
    work = SavedWork.read([saved(1, {"id": "c"})], [saved(2, *odd, relation, wand)])
    assert [work.replaceable(region) for region in ("cm0123456789ab", "b", "w")] == [False] * 3
    assert work.replaceable("a") and work.replaceable("c")
    assert SavedWork.read([saved(1, relation)], [saved(2)]).replaceable("b")


def test_a_draft_that_is_saved_again_is_another_one() -> None:
    assert SavedWork.read([saved(1, updated_at="2026-03")], []).drafted == ""
    drafts = [saved(5, updated_at="2026-02"), saved(4, updated_at="2026-01")]
    assert SavedWork.read([], drafts).drafted == "2026-02"


def test_keypoints_of_any_control_are_clicks() -> None:
    plain = {**keypoint("k1", 1, 1), "type": "keypoint"}
    assert SavedWork.read([], [saved(1, plain)]).pending_clicks == {"k1"}


def test_a_box_is_pending_until_a_mask_was_made_from_it() -> None:
    mask = {"id": "m", "type": "brushlabels", "meta": {"prompts": ["r1"]}}
    boxes = [rectangle("r1", 1, 1, 5, 5), rectangle("r2", 1, 1, 5, 5)]
    assert SavedWork.read([], [saved(1, mask, *boxes)]).pending_boxes == {"r2"}


def test_an_annotation_may_begin_with_the_newest_proposals():
    region = {"id": "cm1", "type": "brush", "value": {}, "meta": {"proposed": True}}
    predictions = [saved(7, region), saved(9, region), saved(11)]  # the last is of another model
    assert [entry.number for entry in SavedWork.read([], [], predictions).shown] == [9]
    assert [entry.number for entry in SavedWork.read([saved(1)], [], predictions).shown] == [1]
    assert [entry.number for entry in SavedWork.read([], [saved(3)], predictions).shown] == [3]
