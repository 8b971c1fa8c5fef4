"""Groups click events into the histories of objects, and matches accepted objects with their histories."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from backend.label_studio.mask_regions import AcceptedObject
from backend.review.click_log import ClickEvent
from fine_tune.quality.network import Trace
from fine_tune.quality.steps import Step

# IoU from which a mask without prompts in its meta is taken for the last suggestion of a history.
LOOKALIKE = 0.6


@dataclass
class ObjectHistory:
    """Holds the click events of one object, the oldest first."""

    events: list[ClickEvent] = field(default_factory=list)

    @property
    def prompts(self) -> set[str]:
        """Return the region ids of all prompts the object ever had."""
        return {prompt for event in self.events for prompt in event.prompts}

    def undone(self) -> int:
        """Return how many clicks were taken back or moved on the way."""
        return sum(step.undone for step in self.steps())

    def steps(self) -> list[Step]:
        """Return the events as steps, which the quality model reads.

        A repeated request is no step, nor is a box that clicks followed.
        """
        steps: list[Step] = []
        before: ClickEvent | None = None
        for event in [event for event in self.events if event.points] or self.events:
            if before is not None and (before.ids, before.points) == (event.ids, event.points):
                continue
            steps.append(_step(before, event))
            before = event
        return steps


def _step(before: ClickEvent | None, event: ClickEvent) -> Step:
    old = dict(zip(before.ids, before.points, strict=True)) if before else {}
    new = dict(zip(event.ids, event.points, strict=True))
    # A correction of an accepted mask, and every click with Auto-Accept, starts without the clicks before.
    goes_on = bool(old.keys() & new.keys())
    x, y, positive = next(
        (point for key, point in reversed(new.items()) if old.get(key) != point),
        event.points[-1] if event.points else (0.0, 0.0, 1),
    )
    return Step(
        seconds=max(event.time - before.time, 0.0) if before else 0.0,
        x=x,
        y=y,
        positive=bool(positive),
        clicks=max(event.clicks, 1),
        undone=sum(new.get(key) != point for key, point in old.items()) if goes_on else 0,
        effect=event.effect,
    )


def group_by_object(events: Iterable[ClickEvent]) -> list[ObjectHistory]:
    """Group events by object: those of one task, image and label that share a prompt."""
    histories: list[ObjectHistory] = []
    owner: dict[tuple[object, ...], ObjectHistory] = {}
    for event in events:
        place = (event.task, event.to_name, event.item_index or 0, event.labels)
        history = next((owner[(*place, p)] for p in event.prompts if (*place, p) in owner), None)
        if history is None:
            history = ObjectHistory()
            histories.append(history)
        history.events.append(event)
        owner |= {(*place, prompt): history for prompt in event.prompts}
    return histories


@dataclass(frozen=True)
class MatchedObject:
    """Holds an accepted object with its history.

    Attributes:
        accepted: the object.
        history: None where it was not made with clicks, or the events are gone.
        edited: 1 - IoU with the last suggestion, 0..1: what was painted or erased by hand after accepting.
    """

    accepted: AcceptedObject
    history: ObjectHistory | None
    edited: float = 0.0

    def to_trace(self) -> Trace | None:
        """Return what the quality model reads; None without a history."""
        if self.history is None:
            return None
        return Trace(self.history.steps(), self.edited, self.history.events[0].proposed)


def match(
    accepted: Sequence[AcceptedObject], histories: Sequence[ObjectHistory], taken: Collection[str] = ()
) -> list[MatchedObject]:
    """Match every accepted object of one task with its history.

    The prompts in the region's meta decide. Where they are missing (another tool saved the annotation again), the
    label and the likeness to a history's last suggestion do.

    Args:
        taken: prompts of all objects of the task: a history that has one of them is not that of an object without
            prompts, such as what another annotator drew by hand.
    """
    return [_match(candidate, histories, set(taken)) for candidate in accepted]


def abandoned(matched: Sequence[MatchedObject], histories: Sequence[ObjectHistory]) -> list[ObjectHistory]:
    """Return the histories that no accepted object came from."""
    used = {prompt for entry in matched if entry.history for prompt in entry.history.prompts}
    return [history for history in histories if not history.prompts & used]


def _match(accepted: AcceptedObject, histories: Sequence[ObjectHistory], taken: set[str]) -> MatchedObject:
    wanted = set(accepted.prompts)
    seen = [_until(history, wanted) for history in histories if _same_image(history, accepted)]
    shared = [history for history in seen if history.prompts & wanted]  # also of one with another label now
    free = [history for history in seen if not history.prompts & taken]
    fitting = [history for history in free if history.events[-1].labels == accepted.regions[0].labels]
    try:
        mask = accepted.mask()
    except ValueError:
        return MatchedObject(accepted, shared[-1] if shared else None)
    likeness = [(history.events[-1].footprint.iou(mask), history) for history in shared or fitting]
    iou, history = max(likeness, key=lambda pair: pair[0], default=(0.0, None))
    if history is None or (not shared and iou < LOOKALIKE):
        return MatchedObject(accepted, None)
    untouched = all(region.untouched for region in accepted.regions)
    return MatchedObject(accepted, history, 0.0 if untouched else 1 - iou)


def _same_image(history: ObjectHistory, accepted: AcceptedObject) -> bool:
    event = history.events[-1]
    return (event.to_name, event.item_index or 0) == accepted.image


def _until(history: ObjectHistory, prompts: set[str]) -> ObjectHistory:
    """Cut a history after the last event that these prompts made; leave it whole where there is none."""
    last = max((i for i, event in enumerate(history.events) if set(event.prompts) <= prompts), default=None)
    return history if last is None else ObjectHistory(history.events[: last + 1])
