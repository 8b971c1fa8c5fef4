"""Log lines: time, level, id of the request they belong to, and what happened."""

from __future__ import annotations

import logging
from contextvars import ContextVar

FORMAT = "%(asctime)s %(levelname)-7s %(request_id)s %(name)s: %(message)s"

# Set by the server for each request; follows it into the threads that work for it.
request_id: ContextVar[str] = ContextVar("request_id", default="-")


class _RequestId(logging.Filter):
    """Puts the id of the current request into every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attribute ``request_id``; never drops a record."""
        record.request_id = request_id.get()
        return True


def configure(level: str) -> None:
    """Send the log of this process to standard error; ``level`` as in `Settings.log_level`."""
    handler = logging.StreamHandler()
    handler.addFilter(_RequestId())
    handler.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("urllib3", "PIL", "matplotlib"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))
