"""Events of a project as the objects they made: what was clicked, undone, moved, abandoned; and accepted as what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from backend.label_studio.mask_regions import AcceptedObject
from backend.review.click_log import ClickEvent
from fine_tune.quality.network import Trace
from fine_tune.quality.steps import Step

LOOKALIKE = (
    0.6  # IoU from which a mask without prompts in its meta is taken for the last suggestion of a trace
)


@dataclass
class ObjectTrace:
    """The events of one object, oldest first."""

    events: list[ClickEvent] = field(default_factory=list)

    @property
    def prompts(self) -> set[str]:
        """Region ids of all prompts the object ever had."""
        return {prompt for event in self.events for prompt in event.prompts}

    def undone(self) -> int:
        """Clicks taken back or moved on the way."""
        return sum(step.undone for step in self.steps())

    def steps(self) -> list[Step]:
        """The events as what the quality model reads.

        A request that was only repeated is no step, nor is a box that clicks followed.
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


def traced(events: Iterable[ClickEvent]) -> list[ObjectTrace]:
    """Group events by object: those of one task, image and label that share a prompt."""
    traces: list[ObjectTrace] = []
    owner: dict[tuple[object, ...], ObjectTrace] = {}
    for event in events:
        place = (event.task, event.to_name, event.item_index, event.labels)
        trace = next((owner[(*place, p)] for p in event.prompts if (*place, p) in owner), None)
        if trace is None:
            trace = ObjectTrace()
            traces.append(trace)
        trace.events.append(event)
        owner |= {(*place, prompt): trace for prompt in event.prompts}
    return traces


@dataclass(frozen=True)
class Joined:
    """An accepted object and how it was made.

    Attributes:
        accepted: the object.
        trace: None where it was not made with clicks, or the events are gone.
        edited: 1 - IoU with the last suggestion, 0..1: what was painted or erased by hand after accepting.
    """

    accepted: AcceptedObject
    trace: ObjectTrace | None
    edited: float = 0.0

    def to_trace(self) -> Trace | None:
        """What the quality model reads."""
        return Trace(self.trace.steps(), self.edited) if self.trace else None


def join(accepted: Sequence[AcceptedObject], traces: Sequence[ObjectTrace]) -> list[Joined]:
    """Find the trace of every accepted object of one task.

    By the prompts in the region's meta; where they are missing (another tool re-saved the annotation), by label and
    likeness to a trace's last suggestion.
    """
    return [_join(candidate, traces) for candidate in accepted]


def abandoned(joined: Sequence[Joined], traces: Sequence[ObjectTrace]) -> list[ObjectTrace]:
    """Traces that no accepted object came from."""
    used = {prompt for entry in joined if entry.trace for prompt in entry.trace.prompts}
    return [trace for trace in traces if not trace.prompts & used]


def _join(accepted: AcceptedObject, traces: Sequence[ObjectTrace]) -> Joined:
    wanted = set(accepted.prompts)
    fitting = [_until(trace, wanted) for trace in traces if _alike(trace, accepted)]
    shared = [trace for trace in fitting if trace.prompts & wanted]
    try:
        mask = accepted.mask()
    except ValueError:
        return Joined(accepted, shared[-1] if shared else None)
    likeness = [(trace.events[-1].footprint.iou(mask), trace) for trace in shared or fitting]
    iou, trace = max(likeness, key=lambda pair: pair[0], default=(0.0, None))
    if trace is None or (not shared and iou < LOOKALIKE):
        return Joined(accepted, None)
    untouched = all(region.origin == "prediction" for region in accepted.regions)
    return Joined(accepted, trace, 0.0 if untouched else 1 - iou)


def _alike(trace: ObjectTrace, accepted: AcceptedObject) -> bool:
    event, region = trace.events[-1], accepted.regions[0]
    return (event.labels, event.to_name, event.item_index) == (
        region.labels,
        region.to_name,
        region.item_index,
    )


def _until(trace: ObjectTrace, prompts: set[str]) -> ObjectTrace:
    """The trace up to the last event that these prompts made; all of it where there is none."""
    last = max((i for i, event in enumerate(trace.events) if set(event.prompts) <= prompts), default=None)
    return trace if last is None else ObjectTrace(trace.events[: last + 1])
