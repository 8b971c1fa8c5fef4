"""Events become objects: undone, moved, corrected, abandoned, and matched to what was accepted."""

import pytest

from backend.label_studio.mask_formats import digest
from backend.label_studio.mask_regions import accepted, objects
from backend.review.object_history import abandoned, group_by_object, match
from tests.backend.click_events import SIDE, disk_map, events
from tests.backend.drawn_regions import brush


def regions(mask, prompts=None, label="Cat", origin="prediction", **meta):
    meta = {} if prompts is None else {"meta": {"prompts": prompts, **meta}}
    return objects(accepted([brush("cm0123456789ab", mask, label, origin=origin, **meta)]))


def test_clicks_that_are_repeated_are_one_object():
    (history,) = group_by_object(events(("a",), ("a", "b"), ("a", "b", "c-")))
    steps = history.steps()
    assert [step.clicks for step in steps] == [1, 2, 3]
    assert [step.positive for step in steps] == [True, True, False]
    assert [step.seconds for step in steps] == [0, 2, 2]
    assert history.undone() == 0


def test_an_undone_click_is_seen_at_the_next():
    (history,) = group_by_object(events(("a",), ("a", "b"), ("a", "c")))
    assert [step.undone for step in history.steps()] == [0, 0, 1]


def test_a_moved_click_is_a_step_of_its_own():
    first, second = events(("a",), ("a", "b"))
    moved = [*second.points[:1], (0.9, 0.9, 1)]
    (history,) = group_by_object(
        [first, second, type(second)(**{**vars(second), "time": 1010.0, "points": tuple(moved)})]
    )
    last = history.steps()[-1]
    assert (last.x, last.y, last.undone, last.clicks) == (0.9, 0.9, 1, 2)


def test_a_repeated_request_is_no_step():
    (history,) = group_by_object(events(("a",), ("a",), ("a", "b")))
    assert len(history.steps()) == 2


def test_a_box_counts_only_where_no_click_followed():
    (box,) = events((), in_force=())
    box = type(box)(**{**vars(box), "prompts": ("box",)})
    assert len(group_by_object([box])[0].steps()) == 1
    (click,) = events(("a",), earlier=("box",))
    (history,) = group_by_object([box, click])
    assert [(step.clicks, step.positive) for step in history.steps()] == [(1, True)]


def test_other_tasks_labels_and_clicks_are_other_objects():
    made = [
        *events(("a",), ("a", "b")),
        *events(("a",), task=8),
        *events(("d",), ("d", "e")),
    ]
    assert [len(history.events) for history in group_by_object(made)] == [2, 1, 2]


def test_auto_accept_builds_on_earlier_prompts_without_undoing_them():
    made = [*events(("a",)), *events(("b",), earlier=("a",), start=1005.0)]
    (history,) = group_by_object(made)
    assert [step.undone for step in history.steps()] == [0, 0]
    assert [step.seconds for step in history.steps()] == [0, 5]


def test_joined_by_prompts():
    histories = group_by_object([*events(("a",), ("a", "b")), *events(("d",))])
    (matched,) = match(regions(disk_map(12) > 0, ["a", "b"]), histories)
    assert matched.history is not None
    assert matched.history.prompts == {"a", "b"}
    assert matched.edited == 0
    assert [history.prompts for history in abandoned([matched], histories)] == [{"d"}]


def test_an_object_that_was_named_otherwise_later_is_still_joined_by_prompts():
    (matched,) = match(regions(disk_map(11) > 0, ["a"], label="Dog"), group_by_object(events(("a",))))
    assert matched.history is not None


def test_clicks_after_the_accepted_answer_do_not_count():
    (matched,) = match(regions(disk_map(11) > 0, ["a"]), group_by_object(events(("a",), ("a", "b"))))
    assert matched.history is not None
    assert len(matched.history.events) == 1


def test_edits_after_accepting_are_measured():
    mask = disk_map(12) > 0
    mask[: SIDE // 2] = False
    (matched,) = match(
        regions(mask, ["a", "b"], origin="prediction-changed"), group_by_object(events(("a",), ("a", "b")))
    )
    assert matched.edited == pytest.approx(0.5, abs=0.08)


def test_a_mask_that_only_got_a_choice_was_not_edited():
    mask = disk_map(12) > 0
    said = regions(mask, ["a", "b"], origin="prediction-changed", digest=digest.of_mask(mask))
    (matched,) = match(said, group_by_object(events(("a",), ("a", "b"))))
    assert matched.edited == 0


def test_without_meta_the_look_decides():
    histories = group_by_object(events(("a",), ("a", "b")))
    (alike,) = match(regions(disk_map(12) > 0, origin="manual"), histories)
    assert alike.history is not None
    (unlike,) = match(regions(disk_map(35) > 0, origin="manual"), histories)
    assert unlike.history is None
    (named_otherwise,) = match(regions(disk_map(12) > 0, label="Dog"), histories)
    assert named_otherwise.history is None
