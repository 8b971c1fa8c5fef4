"""Outcomes: what became of a project's last jobs, kept in Redis for people to look at."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fine_tune.project import keys

logger = logging.getLogger(__name__)

KEPT = 10
_KINDS = {"counts": dict, "metrics": dict, "problems": list, "at": int | float, "seconds": int | float}


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

    @staticmethod
    def from_json(values: dict[str, Any]) -> Outcome:
        """Make an outcome of what `as_json` returned; fields of a newer version are passed over.

        Raises:
            TypeError: a field that is needed is missing, or one is of another kind.
        """
        known = {field.name for field in fields(Outcome)}
        made = Outcome(**{name: value for name, value in values.items() if name in known})
        odd = [name for name, kind in _KINDS.items() if not isinstance(getattr(made, name), kind)]
        if odd:
            raise TypeError(f"{odd[0]} is of another kind")
        return made


def remember(redis: Any, project: int, outcome: Outcome) -> None:
    """Put an outcome in front of the project's others; the oldest ones go. Errors of Redis pass through."""
    with redis.pipeline() as pipe:
        pipe.lpush(keys.outcomes(project), json.dumps(outcome.as_json()))
        pipe.ltrim(keys.outcomes(project), 0, KEPT - 1)
        pipe.execute()


def outcomes(redis: Any, project: int) -> list[Outcome]:
    """Read the last outcomes of a project, the newest first; what is none is left out, as the log says."""
    found = []
    for text in redis.lrange(keys.outcomes(project), 0, KEPT - 1):
        try:
            found.append(Outcome.from_json(json.loads(text)))
        except (ValueError, TypeError, AttributeError) as error:
            logger.warning("an outcome of project %d is left out, it cannot be read: %s", project, error)
    return found


OVERTAKEN = "another version was chosen while this one was trained, and not compared with it"


def picture_of(home: Path, version: str) -> Path:
    """Name the picture of a version's verdict."""
    return home / "pictures" / f"{version}.png"
