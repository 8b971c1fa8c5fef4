"""What this backend writes into the ``meta`` of its regions, which Label Studio keeps, and reads back from there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.json_fields import elements
from model.click import Click


@dataclass(frozen=True)
class RegionMeta:
    """How a region was made.

    Attributes:
        points: all clicks that the mask obeys, in pixels, the earliest first.
        version: name of the model version.
        clicks: how many clicks were in the request; None for a region that this backend did not make.
        prompts: region ids of all prompts that made the mask.
        labels: label names that it was suggested with, where annotators may rename it.
        box: left, top, right, bottom around the mask as it was suggested, pixels; None where that is not told.
        proposed: whether the object began as a proposal, and not with an annotator's click.
        expected: IoU that is expected of a proposal that nobody has corrected, and the standard deviation of that;
            None where it is not known.
        digest: of the mask as it was suggested, see `mask_formats.digest`; "" where that is not told.
    """

    points: tuple[Click, ...] = ()
    version: str = ""
    clicks: int | None = None
    prompts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    box: tuple[int, int, int, int] | None = None
    proposed: bool = False
    expected: tuple[float, float] | None = None
    digest: str = ""

    @staticmethod
    def read(meta: Any) -> RegionMeta:
        """Read a region's ``meta``, whoever wrote it; what is not ours counts as missing."""
        if not isinstance(meta, dict):
            return RegionMeta()
        clicks = meta.get("clicks")
        return RegionMeta(
            points=_clicks(meta.get("points")),
            version=str(meta.get("model_version") or ""),
            clicks=clicks if isinstance(clicks, int) else None,
            prompts=_texts(meta.get("prompts")),
            labels=_texts(meta.get("labels")),
            box=_box(meta.get("box")),
            proposed=meta.get("proposed") is True,
            expected=_pair(meta.get("expected")),
            digest=str(meta.get("digest") or ""),
        )

    def wanted(
        self,
        own: tuple[str, ...],
        rows: Sequence[tuple[str, ...]],
        guess: bool,
        untouched: bool,
    ) -> tuple[str, ...]:
        """Return the labels that the annotator wanted last: whichever differ from those of the suggestion.

        Args:
            own: labels of the control that holds the mask.
            rows: labels of the rows that only name, whose last change cannot be seen in `own`.
            guess: whether rows may say something else than what the object is.
            untouched: whether nobody has changed the region since it was accepted; `own` may then be what was still
                selected, out of sight, when it was.
        """
        rows, known = [row for row in rows if row], own or self.labels
        if untouched and self.labels in rows:
            return self.labels
        if known and (own in rows or self.labels in rows):
            return known
        if guess and own and self.clicks is not None and not self.labels:
            return own  # it was suggested where no row could rename it
        return rows[0] if rows else own

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; points are triples of x, y and 1 (positive) or 0."""
        made = {
            "points": [[click.x, click.y, int(click.positive)] for click in self.points],
            "model_version": self.version,
            "clicks": self.clicks,
            "prompts": list(self.prompts),
        }
        more = {
            "labels": list(self.labels),
            "box": list(self.box or ()),
            "proposed": self.proposed,
            "expected": list(self.expected or ()),
            "digest": self.digest,
        }
        return made | {name: value for name, value in more.items() if value}


def _box(value: Any) -> tuple[int, int, int, int] | None:
    sides = [side for side in elements(value) if isinstance(side, int)]
    if len(sides) != 4 or not 0 <= sides[0] < sides[2] or not 0 <= sides[1] < sides[3]:
        return None
    return sides[0], sides[1], sides[2], sides[3]


def _pair(value: Any) -> tuple[float, float] | None:
    numbers = [entry for entry in elements(value) if isinstance(entry, int | float) and 0 <= entry <= 1]
    return (float(numbers[0]), float(numbers[1])) if len(numbers) == 2 else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(entry for entry in elements(value) if isinstance(entry, str))


def _clicks(value: Any) -> tuple[Click, ...]:
    try:
        clicks = tuple(Click(float(x), float(y), bool(flag)) for x, y, flag in elements(value))
    except (TypeError, ValueError, OverflowError):
        return ()
    return clicks if all(math.isfinite(click.x + click.y) for click in clicks) else ()
