"""Sequences whose items are made when they are asked for."""

import pytest

from fine_tune.data.lazy_sequence import LazySequence


def test_items_are_made_when_they_are_asked_for_and_not_kept():
    made: list[int] = []

    def double(number: int) -> int:
        made.append(number)
        return 2 * number

    items = LazySequence([1, 2, 3], double)
    part = items[1:]
    assert (len(items), len(part), made) == (3, 2, [])
    assert (items[0], items[-1], items[0]) == (2, 6, 2)
    assert made == [1, 3, 1]
    assert (list(items), list(part)) == ([2, 4, 6], [4, 6])
    with pytest.raises(IndexError):
        items[3]


def test_what_making_raises_passes_through():
    with pytest.raises(ValueError, match="no number"):
        LazySequence(["no number"], int)[0]
