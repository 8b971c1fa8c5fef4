"""What is promoted in a line of models, as requests ask for it: they must not wait for a slow volume."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict

from backend.serving.recent_lines import MOST
from model.errors import ClickmaskError
from model.versions.registry import Registry, Version

logger = logging.getLogger(__name__)


class Pointers:
    """Remember what was last read of the pointers of at most `MOST` lines; safe to use from several threads."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._read: OrderedDict[str, tuple[float, Version | None]] = OrderedDict()  # line -> when, and what

    def current(self, line: str, age_s: float) -> Version | None:
        """Return the promoted version of a line, None where it has none; what cannot be read now is as it was.

        Args:
            age_s: so old may the answer be.
        """
        now, known = time.monotonic(), self._read.get(line)
        if known is None or known[0] + age_s < now:
            try:
                current = self._registry.current(line)
            except (ClickmaskError, OSError) as error:
                logger.warning("line %s: what is promoted cannot be read now: %s", line, error)
                current = known[1] if known else None
            known = self._read[line] = now, current
            if len(self._read) > MOST:
                self._read.popitem(last=False)
        return known[1]
