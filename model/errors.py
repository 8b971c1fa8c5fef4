"""Errors that people can do something about."""

from __future__ import annotations


class ClickmaskError(Exception):
    """Base of all foreseeable errors: the message is one sentence with what was wrong, where, and the fix.

    The command line and the web server each have one handler for it; anything else is a defect and leaves a
    traceback in the log.
    """
