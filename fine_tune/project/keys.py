"""The keys in Redis of everything that is known about projects and their fine-tuning jobs.

They are read by every later version: a key keeps its text whatever its function is called.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

logger = logging.getLogger(__name__)

LEDGER = "clickmask:ledger:"
JOBS = "clickmask:fine-tune:"

PROJECTS = f"{LEDGER}projects"  # set: ids of projects that use clickmask
ANNOTATION_PATTERN = f"{LEDGER}*:annotations"


def records(project: int) -> str:
    """Name the hash annotation id -> record."""
    return f"{LEDGER}{project}:annotations"


def seen(project: int) -> str:
    """Name the hash annotation id -> updated_at, as the last job learned from it."""
    return f"{LEDGER}{project}:seen"


def fresh(project: int, rule: str) -> str:
    """Name the set of the annotations that count under a rule and that no job has learned from."""
    return f"{LEDGER}{project}:fresh:{rule}"


def indexed(project: int) -> str:
    """Name the flag that the sets of fresh annotations are kept."""
    return f"{LEDGER}{project}:indexed"


def projects_of(entries: Iterable[bytes]) -> set[int]:
    """Return the projects of keys that `ANNOTATION_PATTERN` matches, and of members of `PROJECTS`.

    What names no project is left out and logged.
    """
    found = set()
    for entry in entries:
        try:
            found.add(int(entry.removeprefix(LEDGER.encode()).removesuffix(b":annotations")))
        except ValueError:
            logger.warning("an entry of the ledger is left out, it is no id of a project: %.80r", entry)
    return found


def lock(project: int) -> str:
    """Name the lock of the process that fine-tunes a project."""
    return f"{JOBS}{project}:turn"


def guard(project: int) -> str:
    """Name the lock around the question whether a job waits."""
    return f"{JOBS}{project}:guard"


def latest(project: int) -> str:
    """Name the id of the job that was enqueued last."""
    return f"{JOBS}{project}:waiting"


def ended(project: int) -> str:
    """Name the time at which the last job ended, in seconds since the epoch."""
    return f"{JOBS}{project}:ended"


def failures(project: int) -> str:
    """Name the number of tries that failed since a job did not."""
    return f"{JOBS}{project}:failures"


def outcomes(project: int) -> str:
    """Name the list of the last outcomes, the newest first."""
    return f"{JOBS}{project}:outcomes"


def cancelled(job: str) -> str:
    """Name the flag that asks a job to end."""
    return f"{JOBS}cancel:{job}"
