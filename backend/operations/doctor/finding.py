"""One line of the doctor's diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

OK, WARN, FAIL = "OK", "WARN", "FAIL"


@dataclass(frozen=True)
class Finding:
    """Says what was looked at, and what was found.

    Attributes:
        level: OK, WARN (works, but not as meant) or FAIL (clicks give no masks).
        subject: what was looked at, in a word or two.
        text: what was found and, unless OK, what to do.
    """

    level: str
    subject: str
    text: str


Findings = Iterator[Finding]
