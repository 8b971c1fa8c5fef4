"""Ranks the objects of annotated tasks by predicted quality, the worst first, with the reasons."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backend.label_studio.mask_regions import AcceptedObject, accepted, objects
from backend.review.click_log import ClickEvent
from backend.review.object_history import MatchedObject, ObjectHistory, abandoned, group_by_object, match
from fine_tune.quality.calibration import Calibration
from fine_tune.quality.network import Quality, QualityModel
from model.mask_ops import iou

logger = logging.getLogger(__name__)

REASONS = 3  # named at most


@dataclass(frozen=True)
class RatedObject:
    """Holds one accepted object with its predicted quality.

    Attributes:
        task, annotation: Label Studio's numbers.
        annotator: e-mail where the history knows it, else "user <number>".
        matched: the object and how it was made.
        quality: predicted, calibrated.
        reasons: what speaks for a look, strongest first; the number of clicks always, or that nobody clicked.
    """

    task: int
    annotation: int
    annotator: str
    matched: MatchedObject
    quality: Quality
    reasons: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return the label names of the object, with commas between them."""
        return ", ".join(self.matched.accepted.regions[0].labels) or "(no label)"


@dataclass(frozen=True)
class Ranking:
    """Holds all rated objects of a project.

    Attributes:
        rated: worst first.
        unmatched: number of accepted objects that cannot be rated: they have no history, and are no proposals that
            were taken over as they were.
        abandoned: objects of annotated tasks that were clicked but not kept.
    """

    rated: tuple[RatedObject, ...]
    unmatched: int
    abandoned: int

    def by_task(self) -> dict[int, float]:
        """Return task -> predicted IoU (0..1) of its worst object."""
        worst: dict[int, float] = {}
        for entry in self.rated:
            worst[entry.task] = min(worst.get(entry.task, 1.0), entry.quality.iou)
        return worst

    def calibrated(self, calibration: Calibration) -> Ranking:
        """Correct what is predicted from clicks; what versions expect of proposals stays."""
        rated = [
            replace(entry, quality=calibration.apply(entry.quality)) if entry.matched.history else entry
            for entry in self.rated
        ]
        return replace(self, rated=_worst_first(rated))


def rank(tasks: Iterable[dict[str, Any]], events: Iterable[ClickEvent], model: QualityModel) -> Ranking:
    """Rate every accepted object of the tasks.

    Args:
        tasks: as Label Studio exports them; skipped annotations are left out.
        events: of the click log, oldest first.
    """
    histories = _by_task(events)
    entries: list[tuple[int, dict[str, Any], MatchedObject]] = []
    taken_over: list[RatedObject] = []
    unmatched = left = 0
    for task in tasks:
        number = int(task["id"])
        found = [
            (_told(annotation), objects(accepted(annotation["result"]))) for annotation in finished(task)
        ]
        taken = {prompt for _, own in found for item in own for prompt in item.prompts}
        matched = [
            (annotation, entry)
            for annotation, own in found
            for entry in match(own, histories.get(number, ()), taken)
        ]
        entries += [(number, annotation, entry) for annotation, entry in matched if entry.history]
        untold = [pair for pair in matched if pair[1].history is None]
        kept = [made for annotation, entry in untold if (made := _taken_over(number, annotation, entry))]
        taken_over += kept
        unmatched += len(untold) - len(kept)
        if matched:
            left += len(abandoned([entry for _, entry in matched], histories.get(number, ())))
    predicted = model.predict([history for *_, entry in entries if (history := entry.to_trace())])
    rated = [
        _rated(number, annotation, entry, quality)
        for (number, annotation, entry), quality in zip(entries, predicted, strict=True)
    ]
    return Ranking(_worst_first([*rated, *taken_over]), unmatched, left)


def _worst_first(rated: Iterable[RatedObject]) -> tuple[RatedObject, ...]:
    return tuple(sorted(rated, key=lambda entry: entry.quality.iou))


def finished(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the annotations of a task that were submitted and not skipped."""
    for annotation in task.get("annotations") or ():
        if isinstance(annotation, dict) and not annotation.get("was_cancelled") and annotation.get("result"):
            yield annotation


def _told(annotation: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of an annotation, without its masks."""
    return {"id": annotation["id"], "completed_by": annotation.get("completed_by")}


def reviewed(tasks: Iterable[dict[str, Any]], ranking: Ranking) -> list[tuple[RatedObject, float]]:
    """Return the rated objects whose IoU with another opinion of the same task is known, with that IoU.

    The opinion is the task's ground truth where there is one, else what other people annotated; with several, the
    mean. An object that the other opinion does not have counts as IoU 0.
    """
    rated: dict[int, list[RatedObject]] = {}
    for entry in ranking.rated:
        rated.setdefault(entry.task, []).append(entry)
    return [
        (entry, iou)
        for task in tasks
        for entry in rated.get(int(task["id"]), ())
        if (iou := _told_iou(entry, list(finished(task)))) is not None
    ]


def _told_iou(entry: RatedObject, annotations: Sequence[dict[str, Any]]) -> float | None:
    """Return the IoU of an object with what the other annotations of its task say; None where they say nothing."""
    own = [a for a in annotations if a["id"] == entry.annotation]
    others = [a for a in annotations if a["id"] != entry.annotation]
    truth = [a for a in others if a.get("ground_truth")]
    if not truth and own and own[0].get("ground_truth"):
        return None  # it is the truth itself: nothing better to compare it with
    opinions = truth or [a for a in others if author(a) != author(own[0])] if own else []
    try:
        ious = [_best_iou(entry.matched.accepted, objects(accepted(a["result"]))) for a in opinions]
    except ValueError as error:
        logger.warning("task %d is no opinion, a mask of it cannot be read: %s", entry.task, error)
        return None
    return float(np.mean(ious)) if ious else None


def author(annotation: dict[str, Any]) -> str:
    """Return who made an annotation: the e-mail, else "user <number>"."""
    user = annotation.get("completed_by")
    if isinstance(user, dict):
        return str(user.get("email") or f"user {user.get('id')}")
    return f"user {user}"


def _by_task(events: Iterable[ClickEvent]) -> dict[int, list[ObjectHistory]]:
    histories: dict[int, list[ObjectHistory]] = {}
    for history in group_by_object(events):
        task = history.events[-1].task
        if task is not None:
            histories.setdefault(task, []).append(history)
    return histories


def _rated(task: int, annotation: dict[str, Any], matched: MatchedObject, quality: Quality) -> RatedObject:
    assert matched.history is not None, "only objects with a history are rated"
    named = next((event.annotator for event in reversed(matched.history.events) if event.annotator), "")
    return RatedObject(
        task, int(annotation["id"]), named or author(annotation), matched, quality, tuple(_reasons(matched))
    )


def _taken_over(task: int, annotation: dict[str, Any], matched: MatchedObject) -> RatedObject | None:
    """Rate a proposal that nobody has changed by what its version expected of it; None for any other object."""
    regions = matched.accepted.regions
    expected = regions[0].meta.expected
    if expected is None or not all(region.untouched for region in regions):
        return None
    reasons = ("proposed, and taken over without a click",)
    return RatedObject(task, int(annotation["id"]), author(annotation), matched, Quality(*expected), reasons)


def _reasons(matched: MatchedObject) -> list[str]:
    assert matched.history is not None
    steps = matched.history.steps()
    last, undone = steps[-1].effect, matched.history.undone()
    pauses = [step.seconds for step in steps[1:]]
    pace = float(np.median(pauses)) if pauses else 1.0
    found = [
        (1 - last.weakest, last.weakest < 0.5, "the mask contradicts one of the clicks"),
        (
            last.change,
            len(steps) > 1 and last.change >= 0.05,
            f"mask still moved {last.change:.0%} at the last one",
        ),
        (1 - last.expected, last.expected < 0.85, f"the model itself expects only IoU {last.expected:.2f}"),
        (matched.edited, matched.edited >= 0.05, f"{matched.edited:.0%} changed by hand after accepting"),
        (undone / len(steps), undone > 0, f"{undone} taken back or moved"),
        (0.2, last.parts > 3, f"in {last.parts} parts"),
        (0.1, pace < 0.6, f"a click every {pace:.1f} s"),
    ]
    telling = sorted((weight, text) for weight, holds, text in found if holds)
    count = steps[-1].clicks
    return [f"{count} click{'s' * (count != 1)}", *(text for _, text in telling[::-1][:REASONS])]


def _best_iou(own: AcceptedObject, others: Sequence[AcceptedObject]) -> float:
    """Return the IoU with the object of the same image and label that overlaps most; 0 where there is none."""
    mask, best = own.mask(), 0.0
    for other in others:
        if (other.regions[0].labels, other.image) == (own.regions[0].labels, own.image):
            seen = other.fitted(*mask.shape).mask()
            if seen.shape == mask.shape and (seen.any() or mask.any()):
                best = max(best, iou(seen, mask))
    return best
