"""Many threads, one network: requests that arrive while a pass runs share the next one.

Nobody waits for company: a lone request starts at once, and under load batches form by themselves.
"""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from model.engines.base import Engine


class _Ticket:
    """One caller's input, and later its output or error."""

    def __init__(self, image: np.ndarray, guide: np.ndarray) -> None:
        self.image, self.guide = image, guide
        self.output: np.ndarray | None = None
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.output is not None or self.error is not None


class BatchingEngine:
    """An `Engine` that runs another one, one pass at a time, for any number of threads.

    Args:
        engine: the engine to share.
        limit: images per pass; 1 where batches bring nothing, as on a CPU.
    """

    def __init__(self, engine: Engine, limit: int) -> None:
        self.size, self.device = engine.size, engine.device
        self._engine, self._limit = engine, limit
        self._waiting: deque[_Ticket] = deque()
        self._turn = threading.Lock()

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """See `Engine.run`. An error of the engine reaches every caller of the pass."""
        ticket = _Ticket(image, guide)
        self._waiting.append(ticket)
        with self._turn:
            # Whoever has the turn works for all who wait; the others find their answer when it is theirs.
            while not ticket.done:
                self._pass()
        if ticket.error is not None:
            raise ticket.error
        assert ticket.output is not None
        return ticket.output

    def _pass(self) -> None:
        group = [self._waiting.popleft()]
        count = len(group[0].image)
        while self._waiting and count + len(self._waiting[0].image) <= self._limit:
            group.append(self._waiting.popleft())
            count += len(group[-1].image)
        try:
            output = self._engine.run(
                np.concatenate([t.image for t in group]), np.concatenate([t.guide for t in group])
            )
        except Exception as error:  # handed to the callers, who report it
            for ticket in group:
                ticket.error = error
            return
        for ticket in group:
            ticket.output, output = output[: len(ticket.image)], output[len(ticket.image) :]
