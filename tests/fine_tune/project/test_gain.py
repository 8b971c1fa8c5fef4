from fine_tune.project.gain import AFTER, BEFORE, BOTH, HEIGHT, describe, plot


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
    assert any(BEFORE in line and "|" in line for line in lines)


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
