"""Log lines: time, level, id of the request they belong to, and what happened. Secrets never get into one."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from contextvars import ContextVar

from backend.settings.masking import mask

FORMAT = "%(asctime)s %(levelname)-7s %(request_id)s %(name)s: %(message)s"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tabs and line ends

# Set by the server for each request; follows it into the threads that work for it.
request_id: ContextVar[str] = ContextVar("request_id", default="-")


class _RequestId(logging.Filter):
    """Puts the id of the current request into every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attribute ``request_id``; never drops a record."""
        record.request_id = request_id.get()
        return True


class _Masked(logging.Formatter):
    """Replaces passwords and tokens in the finished text, tracebacks included."""

    def __init__(self, secrets: Iterable[str], form: str = FORMAT) -> None:
        super().__init__(form)
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines of a traceback, fit to be read by anybody."""
        return mask(super().format(record), self._secrets)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line with what a request may have put into it: it begins no other, and steers no terminal."""
        text = _CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}", super().formatMessage(record))
        return text.replace("\n", "\n    ")


def mask_warnings(secrets: Iterable[str]) -> None:
    """Print warnings of a command that keeps no log as Python does, but never a secret of `Settings.secrets`."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_Masked(secrets, "%(message)s"))
    logging.lastResort = handler


def configure(level: str, secrets: Iterable[str] = ()) -> None:
    """Send the log of this process to standard error.

    Args:
        level: as in `Settings.log_level`.
        secrets: never printed, see `Settings.secrets`.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_RequestId())
    handler.setFormatter(_Masked(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their details hold signatures and tokens.
    for signing in ("botocore", "aiobotocore", "s3fs", "gcsfs", "adlfs"):
        logging.getLogger(signing).setLevel(max(root.level, logging.INFO))
    for chatty in ("urllib3", "PIL", "matplotlib"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))
