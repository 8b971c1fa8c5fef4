"""Events become objects: undone, moved, corrected, abandoned, and joined to what was accepted."""

import pytest

from backend.label_studio.mask_formats import rle
from backend.label_studio.mask_regions import accepted, objects
from backend.review.object_history import abandoned, join, traced
from tests.backend.click_events import SIDE, disk_map, events


def regions(mask, prompts=None, label="Cat", origin="prediction"):
    entry = {
        "id": "cm0123456789ab",
        "type": "brushlabels",
        "to_name": "image",
        "from_name": "brush",
        "original_width": SIDE,
        "original_height": SIDE,
        "origin": origin,
        "value": {"format": "rle", "rle": list(rle.encode(mask)), "brushlabels": [label]},
    }
    if prompts is not None:
        entry["meta"] = {"prompts": prompts}
    return objects(accepted([entry]))


def test_clicks_that_are_repeated_are_one_object():
    (trace,) = traced(events(("a",), ("a", "b"), ("a", "b", "c-")))
    steps = trace.steps()
    assert [step.clicks for step in steps] == [1, 2, 3]
    assert [step.positive for step in steps] == [True, True, False]
    assert [step.seconds for step in steps] == [0, 2, 2]
    assert trace.undone() == 0


def test_an_undone_click_is_seen_at_the_next():
    (trace,) = traced(events(("a",), ("a", "b"), ("a", "c")))
    assert [step.undone for step in trace.steps()] == [0, 0, 1]


def test_a_moved_click_is_a_step_of_its_own():
    first, second = events(("a",), ("a", "b"))
    moved = [*second.points[:1], (0.9, 0.9, 1)]
    (trace,) = traced(
        [first, second, type(second)(**{**vars(second), "time": 1010.0, "points": tuple(moved)})]
    )
    last = trace.steps()[-1]
    assert (last.x, last.y, last.undone, last.clicks) == (0.9, 0.9, 1, 2)


def test_a_repeated_request_is_no_step():
    (trace,) = traced(events(("a",), ("a",), ("a", "b")))
    assert len(trace.steps()) == 2


def test_a_box_counts_only_where_no_click_followed():
    (box,) = events((), in_force=())
    box = type(box)(**{**vars(box), "prompts": ("box",)})
    assert len(traced([box])[0].steps()) == 1
    (click,) = events(("a",), earlier=("box",))
    (trace,) = traced([box, click])
    assert [(step.clicks, step.positive) for step in trace.steps()] == [(1, True)]


def test_other_tasks_labels_and_clicks_are_other_objects():
    made = [
        *events(("a",), ("a", "b")),
        *events(("a",), task=8),
        *events(("d",), ("d", "e")),
    ]
    assert [len(trace.events) for trace in traced(made)] == [2, 1, 2]


def test_auto_accept_builds_on_earlier_prompts_without_undoing_them():
    made = [*events(("a",)), *events(("b",), earlier=("a",), start=1005.0)]
    (trace,) = traced(made)
    assert [step.undone for step in trace.steps()] == [0, 0]
    assert [step.seconds for step in trace.steps()] == [0, 5]


def test_joined_by_prompts():
    traces = traced([*events(("a",), ("a", "b")), *events(("d",))])
    (joined,) = join(regions(disk_map(12) > 0, ["a", "b"]), traces)
    assert joined.trace is not None
    assert joined.trace.prompts == {"a", "b"}
    assert joined.edited == 0
    assert [trace.prompts for trace in abandoned([joined], traces)] == [{"d"}]


def test_clicks_after_the_accepted_answer_do_not_count():
    (joined,) = join(regions(disk_map(11) > 0, ["a"]), traced(events(("a",), ("a", "b"))))
    assert joined.trace is not None
    assert len(joined.trace.events) == 1


def test_edits_after_accepting_are_measured():
    mask = disk_map(12) > 0
    mask[: SIDE // 2] = False
    (joined,) = join(
        regions(mask, ["a", "b"], origin="prediction-changed"), traced(events(("a",), ("a", "b")))
    )
    assert joined.edited == pytest.approx(0.5, abs=0.08)


def test_without_meta_the_look_decides():
    traces = traced(events(("a",), ("a", "b")))
    (alike,) = join(regions(disk_map(12) > 0, origin="manual"), traces)
    assert alike.trace is not None
    (unlike,) = join(regions(disk_map(35) > 0, origin="manual"), traces)
    assert unlike.trace is None
    (named_otherwise,) = join(regions(disk_map(12) > 0, label="Dog"), traces)
    assert named_otherwise.trace is None
