"""Which lines of models were asked for lately, and which of them to look after next."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Container

MOST = 1000  # lines: who sends numbers of projects at random must not fill the memory
KEPT_S = 600.0  # after it was last asked for, a line is forgotten


class RecentLines:
    """Keep the lines asked for lately, in the order in which they are looked after; callers see to locking."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, float] = OrderedDict()  # line -> when last asked for

    def __contains__(self, line: str) -> bool:
        """Tell whether a line is kept."""
        return line in self._asked

    def __len__(self) -> int:
        """Count the lines that are kept."""
        return len(self._asked)

    def add(self, line: str) -> None:
        """Keep a line from now on; a new one is looked after next, and takes the place of the oldest of `MOST`."""
        known = line in self._asked
        if not known and len(self._asked) >= MOST:
            del self._asked[min(self._asked, key=self._asked.__getitem__)]
        self._asked[line] = time.monotonic()
        if not known:
            self._asked.move_to_end(line, last=False)

    def due(self, count: int, but: Container[str]) -> list[str]:
        """Return the lines, at most `count`, that were not returned for longest; those in `but` have no turn.

        What was not asked for within `KEPT_S` is forgotten.
        """
        oldest = time.monotonic() - KEPT_S
        for line in [line for line, asked in self._asked.items() if asked < oldest]:
            del self._asked[line]
        chosen = [line for line in self._asked if line not in but][:count]
        for line in chosen:
            self._asked.move_to_end(line)
        return chosen
