"""Items that are made each time they are asked for: however many there are, only those in use take memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

T = TypeVar("T")


class LazySequence(Sequence[T]):
    """A sequence that keeps what its items are made of.

    Args:
        sources: what they are made of, one each.
        make: makes an item of its source; errors pass through to whoever asks for the item.
    """

    def __init__(self, sources: Sequence[Any], make: Callable[[Any], T]) -> None:
        self._sources, self._make = sources, make

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> LazySequence[T]: ...

    def __getitem__(self, place: int | slice) -> T | LazySequence[T]:
        """Make the item at a place anew; of a slice nothing is made yet."""
        if isinstance(place, slice):
            return LazySequence(self._sources[place], self._make)
        return self._make(self._sources[place])

    def __len__(self) -> int:
        """Count the items without making any."""
        return len(self._sources)
