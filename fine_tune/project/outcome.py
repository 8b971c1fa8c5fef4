"""Outcomes: what became of a project's last jobs, kept in Redis for people to look at."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fine_tune.project import keys

KEPT = 10


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: ``promoted``, ``kept back`` (a version was made and is not served), ``refused`` (none was made),
            ``skipped`` (nothing to do), ``cancelled``.
        reason: one sentence for people.
        version: name of the version that was made, or "".
        counts: images and objects, see `Samples.count`.
        metrics: before and after, as on the card; empty where nothing was measured.
        problems: annotations that could not be used, and why.
        at: end, seconds since the epoch.
        seconds: how long the job took.
    """

    status: str
    reason: str
    version: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    at: float = field(default_factory=time.time)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def remember(redis: Any, project: int, outcome: Outcome) -> None:
    """Put an outcome in front of the project's others; the oldest ones go. Errors of Redis pass through."""
    with redis.pipeline() as pipe:
        pipe.lpush(keys.outcomes(project), json.dumps(outcome.as_json()))
        pipe.ltrim(keys.outcomes(project), 0, KEPT - 1)
        pipe.execute()


def outcomes(redis: Any, project: int) -> list[Outcome]:
    """Read the last outcomes of a project, the newest first."""
    return [Outcome(**json.loads(text)) for text in redis.lrange(keys.outcomes(project), 0, KEPT - 1)]


OVERTAKEN = "another version was chosen while this one was trained, and not compared with it"


def picture_of(home: Path, version: str) -> Path:
    """Name the picture of a version's verdict."""
    return home / "pictures" / f"{version}.png"
