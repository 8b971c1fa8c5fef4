from fine_tune.project.judging.card_text import AFTER, BEFORE, BOTH, HEIGHT, describe, plot, proposals, work
from fine_tune.project.judging.gate import Limits, Verdict, too_few


def side(noc: float, curve: list[float]) -> dict:
    return {"noc90": noc, "iou_at_3": curve[2], "clickers": {"classic": {"curve": curve}}}


GATE = {
    "promoted": True,
    "reason": "better on 24 held-out objects",
    "objects": 24,
    "images": 8,
    "saved": 1.9,
    "interval": [1.2, 2.6],
}


def test_what_was_saved_is_said_and_drawn():
    general = {"before": {"noc90": 2.0}, "after": {"noc90": 2.1}}
    metrics = {
        "before": side(5.8, [0.5, 0.6, 0.7]),
        "after": side(3.9, [0.8, 0.9, 0.95]),
        "gate": GATE,
        "general": general,
    }
    lines = describe({"metrics": metrics})
    assert "5.8 -> 3.9 on 24 held-out objects; saved 1.9 (95 % interval 1.2 to 2.6)" in lines[0]
    assert any("2.0 -> 2.1" in line for line in lines)
    assert not any("work" in line for line in lines), "cards of older versions do not tell"
    assert any(BEFORE in line and "|" in line for line in lines)


def test_the_work_is_said():
    training = {"steps": 300, "planned_steps": 360, "samples": 2400, "seconds": 120.0}
    metrics = {"training": training, "clicks": 812, "seconds": {"judging on held-out images": 90.0}}
    (line,) = work(metrics)
    assert "300 of 360 training steps (2400 clicks learned from) in 2.0 minutes" in line
    assert "812 clicks in 1.5 minutes" in line


def test_the_interval_is_named_by_its_confidence():
    sides = {"before": side(5.8, [0.5, 0.6, 0.7]), "after": side(3.9, [0.8, 0.9, 0.95])}
    lines = describe({"metrics": {**sides, "gate": {**GATE, "confidence": 0.965}}})
    assert "(96.5 % interval 1.2 to 2.6)" in lines[0]


def test_too_few_objects_have_no_saving_to_tell_of():
    sides = {"before": side(5.8, [0.5, 0.6, 0.7]), "after": side(3.9, [0.8, 0.9, 0.95])}
    verdict = Verdict(False, too_few(4, 3, Limits()), 4, 3)
    lines = describe({"metrics": {**sides, "gate": verdict.as_json()}})
    assert lines[0] == "clicks per object to IoU 0.90: 5.8 -> 3.9 on 4 held-out objects"
    assert "kept back, only 4 objects" in lines[1]


def test_what_the_gate_for_proposals_found_is_said():
    facts = {"offered": True, "reason": "31 objects an image: 118 clicks by hand, 44 actions with proposals"}
    (line,) = describe({"proposals": facts})
    assert line == f"proposals are offered: {facts['reason']}"
    assert proposals({"offered": False, "reason": "too few"}) == ["proposals are not offered: too few"]


def test_other_versions_have_nothing_to_say():
    assert describe({}) == []
    assert describe({"metrics": {"noc": 2.5}}) == []


def test_higher_values_are_drawn_higher():
    drawn = plot([0.0, 0.5, 1.0], [1.0, 1.0, 1.0])[: HEIGHT + 1]
    columns = [[row[6 + 2 * click] for row in drawn] for click in range(3)]
    assert columns[0].index(BEFORE) == HEIGHT
    assert columns[1].index(BEFORE) == HEIGHT // 2
    assert columns[0].index(AFTER) == 0
    assert columns[2][0] == BOTH


def test_perfect_curves_are_drawn_too():
    assert BOTH in plot([1.0, 1.0], [1.0, 1.0])[0]
