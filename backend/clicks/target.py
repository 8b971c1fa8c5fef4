"""Decides which object a click belongs to: a new one, an accepted mask to correct, or the one just answered.

Normally Label Studio repeats all clicks of an object with each request, and an object that starts with a click
outside all accepted masks is a new one. Two things make it more than that:

* **Correction.** A first click inside an accepted mask of the same label goes on from that mask, and the answer
  carries its region id, so that accepting replaces it.
* **Auto-Accept.** Label Studio then accepts each answer at once and deletes the click: every request holds one
  click, and refining an object would be impossible. The id of the region stays the same as long as the clicks are
  taken for one object, so that each answer replaces the one before.

The rules, the first that fits:

1. A box starts a new object. The editor sends the clicks that follow without it: the first one in the box or close
   beside it, soon or while the draft still holds the box, is added to it, and so are those that come with it later.
2. A first click inside an accepted mask corrects it.
3. Within `FRESH_S` of an answer the draft may not show yet whether it was accepted. A lone click that comes
   without the clicks of that answer continues its object, if it is negative, or if it is positive and inside or
   beside the mask; the latter only while there was no sign that Auto-Accept is off, as are several clicks in one
   request, or a draft that holds the click and was saved later than as it was placed, when the editor likes to save.
   A draft that was saved since and shows neither click nor mask tells that the answer was taken back, and so does a
   click without a label after one with a label: undoing or deleting a point unselects it, Auto-Accept does not.
   Where several people annotate a task and nothing names who asks, a positive click does not continue what may be
   another's. (This comes before 2 where both speak of the same region.)
4. What may be somebody else's mask is not corrected (see `backend.clicks.ownership`), and neither is one whose own
   clicks come with the request: accepting it was undone.
5. A first click that is negative takes something away from the nearest accepted mask of its label.
6. A lone positive click beside an accepted mask that was made with single clicks adds to it, while there was no sign
   that Auto-Accept is off.
7. Anything else is a new object: in particular the second object of a label after the first was accepted.

Where Auto-Accept is off, a click outside a mask goes on from it under a new id: the mask may be selected, and the
editor breaks where a region that is selected is replaced. A click inside unselects it first.

"Beside" is nearer to the edge than `BESIDE` of the square root of the mask's area: near enough for a missed part,
too near for the middle of a neighbour of the same size, whose radius is more than half of that root.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from backend.clicks.candidates import candidates, under
from backend.clicks.last_object import LastObject
from backend.clicks.ownership import Whose
from backend.label_studio.label_config import LabelConfig
from backend.label_studio.mask_regions import AcceptedObject
from backend.label_studio.predict_request import Prompt, Task
from backend.label_studio.prompt_regions import Box
from model.click import Click
from model.inference.clean import remove_small_regions
from model.proposals.correction import soften

logger = logging.getLogger(__name__)

# Label Studio saves drafts every 5 s; the rest is for its way here.
FRESH_S = 8.0
BESIDE = 0.15
MIN_BESIDE = 3.0


@dataclass(frozen=True)
class Target:
    """Names what the clicks of a prompt are added to; all None and empty for a new object.

    Attributes:
        region_id: of the region to replace; None for a new one.
        start: HxW uint8 map before the first click of the prompt: an accepted mask, or an earlier answer.
        clicks: those that made it and are still in force, where they are known.
        prompts: region ids of the clicks that made it.
        proposed: whether the object began as a proposal.
        source: id of the region that it goes on from, also where that is not replaced.
        box, box_id: the box that the clicks are added to, and its region id; None and "" for none.
    """

    region_id: str | None = None
    start: np.ndarray | None = None
    clicks: tuple[Click, ...] = ()
    prompts: tuple[str, ...] = ()
    proposed: bool = False
    source: str = ""
    box: Box | None = None
    box_id: str = ""


NEW = Target()


@dataclass(frozen=True)
class Surroundings:
    """What else is known where a prompt comes in.

    Attributes:
        last: the object that was answered last for this annotator, task and label.
        map_of: gives the map (HxW uint8) of an object; None where that is gone.
        whose: whose the masks of the task are.
        several: tells whether the annotator's clicks are known to come together, as without Auto-Accept.
        named: whether the prompt came with a label.
        nameless: whether `last` may be somebody else's.
        config: the labeling config.
    """

    last: LastObject | None
    map_of: Callable[[LastObject], np.ndarray | None]
    whose: Whose = Whose.OWN
    several: Callable[[], bool] = lambda: False
    named: bool = True
    nameless: bool = False
    config: LabelConfig = field(default_factory=LabelConfig)


def choose_target(prompt: Prompt, task: Task, known: Surroundings, now: float) -> Target:
    """Decide what ``prompt`` goes on from, by the rules above.

    Args:
        prompt: the clicks of this request.
        task: with the drafts and annotations that show what was accepted.
        now: seconds since the epoch.
    """
    if prompt.box is not None or not prompt.clicks:
        return NEW
    boxed = _after_box(prompt, task, known, now)
    if boxed is not None:
        return boxed
    first, lone, last = prompt.clicks[0], len(prompt.clicks) == 1, known.last
    accepted = [entry for entry in candidates(prompt, task, known.config) if not _undone(entry, prompt)]
    if known.whose is Whose.UNKNOWN or (known.whose is Whose.DISPLAYED and first.positive):
        accepted = []
    hit = under(first, accepted)
    if lone and last is not None and (hit is None or hit.id == last.region_id):
        values = known.map_of(last) if _may_continue(prompt, task, known, accepted, now) else None
        if values is not None and _continues(first, known, values):
            made_by = last.key.base + last.clicks, last.prompts
            target = Target(last.region_id, values, *made_by, last.proposed, last.region_id)
            return target if _inside(first, last, values) else _beside(target, known)
    if hit is not None:
        return _correct(hit)
    if not first.positive:
        nearest = _nearest(accepted, first)
        return NEW if nearest is None else _beside(_correct(nearest), known)
    for entry in filter(_single_clicks, accepted if lone else ()):
        if _box_distance(entry, first) <= _reach_of(Box(*(entry.box or (0,) * 4))):
            mask = _mask(entry)
            if mask is not None and distance(mask, first) <= reach(mask) and not known.several():
                return _correct(entry)
    return NEW


def distance(mask: np.ndarray, click: Click) -> float:
    """Return the pixels from a click to the nearest of an HxW bool mask, 0 inside; infinite for an empty mask."""
    if mask[click.pixel(*mask.shape)]:
        return 0.0
    rows, columns = np.nonzero(mask)
    if not rows.size:
        return math.inf
    across = np.maximum(np.maximum(columns - click.x, click.x - columns - 1), 0)
    down = np.maximum(np.maximum(rows - click.y, click.y - rows - 1), 0)
    return float(np.sqrt((across**2 + down**2).min()))


def reach(mask: np.ndarray) -> float:
    """Return how far from the edge of an HxW bool mask, in pixels, a click still belongs to it."""
    return max(MIN_BESIDE, BESIDE * math.sqrt(np.count_nonzero(mask)))


def _after_box(prompt: Prompt, task: Task, known: Surroundings, now: float) -> Target | None:
    """Return the box that was drawn before the newest click, if it is still there; the editor leaves it out."""
    last, saved, click = known.last, task.saved, prompt.clicks[-1]
    if last is None or last.box is None or last.size != (prompt.height, prompt.width):
        return None
    there = last.box_id in saved.pending_boxes
    target = Target(last.region_id, box=last.box, box_id=last.box_id)
    if set(prompt.ids) & set(last.prompts):
        # Accepting and rejecting would have taken away the earlier clicks, too.
        gone = not there and (last.box_id in saved.made_from or set(prompt.ids) & saved.pending_clicks)
        return None if gone else dataclasses.replace(target, region_id=None)
    same = saved.drafted == last.drafted
    # Of a click that is gone only a later draft can tell that it was taken back, and not accepted.
    pending = there and not same if last.clicks else there or (same and 0 <= now - last.at <= FRESH_S)
    taken_back = known.nameless or (last.named and not known.named)
    if taken_back or not pending or _outside(last.box, click) > _reach_of(last.box):
        return None
    values = known.map_of(last)
    return target if values is None or _inside(click, last, values) else _beside(target, known)


def _may_continue(
    prompt: Prompt, task: Task, known: Surroundings, accepted: list[AcceptedObject], now: float
) -> bool:
    last = known.last
    assert last is not None, "only what was answered goes on"
    if not 0 <= now - last.at <= FRESH_S or last.size != (prompt.height, prompt.width):
        return False
    if set(prompt.ids) & set(last.prompts):
        return False  # the same request again, or a point that was moved
    # Auto-Accept would have removed the click from a draft that was saved since.
    held = task.saved.pending_clicks & set(last.prompts)
    if held and (task.saved.drafted != last.drafted or _without_auto_accept(known)):
        return False
    # Once the draft shows this very state, it knows better: the annotator may have painted on it.
    saved = next((entry for entry in accepted if entry.id == last.region_id), None)
    if saved is None:
        # A draft that was saved since, and shows neither click nor mask: the answer was taken back.
        return task.saved.drafted == last.drafted
    return not set(last.prompts) <= set(saved.prompts)


def _continues(click: Click, known: Surroundings, values: np.ndarray) -> bool:
    last = known.last
    assert last is not None, "only what was answered goes on"
    mask = remove_small_regions(values, last.key.base + last.clicks)
    if not click.positive:
        return bool(mask.any())
    if last.together > 1 or known.nameless or (last.named and not known.named):
        return False
    return distance(mask, click) <= reach(mask) and not known.several()


def _inside(click: Click, last: LastObject, values: np.ndarray) -> bool:
    mask = remove_small_regions(values, last.key.base + last.clicks)
    return bool(mask[click.pixel(*mask.shape)])


def _beside(target: Target, known: Surroundings) -> Target:
    """Take the id from what a click outside goes on from, where Auto-Accept is known to be off."""
    return dataclasses.replace(target, region_id=None) if _without_auto_accept(known) else target


def _without_auto_accept(known: Surroundings) -> bool:
    return (known.last is not None and known.last.together > 1) or known.several()


def _undone(entry: AcceptedObject, prompt: Prompt) -> bool:
    """Tell whether accepting an object was undone: its prompts are back, and the draft does not know it yet."""
    return bool(set(entry.prompts) & set(prompt.ids)) and not prompt.moved


def _nearest(accepted: list[AcceptedObject], click: Click) -> AcceptedObject | None:
    best, found = math.inf, None
    for entry in sorted(accepted, key=lambda entry: _box_distance(entry, click)):
        if _box_distance(entry, click) >= best:
            break  # so are all others, and their masks need not be decoded
        mask = _mask(entry)
        away = math.inf if mask is None else distance(mask, click)
        if away < best:
            best, found = away, entry
    return found


def _mask(entry: AcceptedObject) -> np.ndarray | None:
    """Return the mask of an object, HxW bool; None, with a warning in the log, where it cannot be read."""
    try:
        return entry.mask()
    except ValueError as error:
        logger.warning("region %s cannot be read: %s", entry.id, error)
        return None


def _box_distance(entry: AcceptedObject, click: Click) -> float:
    """Pixels from a click to the box around an object: its mask is not nearer."""
    return _outside(Box(*(entry.box or (math.inf,) * 4)), click)


def _outside(box: Box, click: Click) -> float:
    """Pixels from a click to a box, 0 inside."""
    across, down = (box.left - click.x, click.x - box.right, 0), (box.top - click.y, click.y - box.bottom, 0)
    return math.hypot(max(across), max(down))


def _reach_of(box: Box) -> float:
    """At least the `reach` of a mask in a box."""
    return max(MIN_BESIDE, BESIDE * math.sqrt((box.right - box.left) * (box.bottom - box.top)))


def _single_clicks(candidate: AcceptedObject) -> bool:
    """Tell whether this backend made it, with one click a request."""
    return candidate.regions[0].meta.clicks == 1


def _correct(accepted: AcceptedObject) -> Target:
    """Go on from an accepted mask; its clicks stay in force unless the annotator has painted on it.

    A proposal that nobody has touched is no more than a guess.
    """
    region, mask = accepted.regions[0], _mask(accepted)
    if mask is None:
        return NEW
    as_answered = region.untouched
    clicks = region.meta.points if as_answered else ()
    guessed = as_answered and region.meta.proposed and not clicks
    start = soften(mask) if guessed else mask.astype(np.uint8) * 255
    return Target(accepted.id, start, clicks, accepted.prompts, region.meta.proposed, accepted.id)
