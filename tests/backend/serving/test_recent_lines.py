"""Lines asked for lately: each has its turn, and what nobody asks for is forgotten."""

import pytest

from backend.serving.recent_lines import RecentLines


def kept(*names: str) -> RecentLines:
    lines = RecentLines()
    for name in names:
        lines.add(name)
    return lines


def test_every_line_has_its_turn() -> None:
    lines = kept("a", "b", "c", "d", "e")
    turns = [lines.due(2, {"e"}) for _ in range(4)]
    assert sorted(turns[0] + turns[1]) == ["a", "b", "c", "d"]
    assert turns[2:] == turns[:2]
    lines.add("f")
    lines.add("a")  # which is no reason for another turn
    assert lines.due(1, ()) == ["f"]


def test_the_line_that_was_asked_for_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.serving.recent_lines.MOST", 3)
    lines = kept("a", "b", "c", "a", "d")
    assert len(lines) == 3
    assert "a" in lines and "b" not in lines and "d" in lines


def test_what_nobody_asks_for_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = kept("a", "b")
    assert len(lines.due(9, ())) == 2
    monkeypatch.setattr("backend.serving.recent_lines.KEPT_S", -1.0)
    assert lines.due(9, ()) == []
    assert len(lines) == 0
