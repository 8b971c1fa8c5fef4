"""Finds the accepted objects of a task that a click could go on from."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from backend.label_studio.label_config import LabelConfig
from backend.label_studio.mask_regions import AcceptedObject, MaskRegion, accepted, objects
from backend.label_studio.predict_request import Prompt, Task
from model.click import Click

logger = logging.getLogger(__name__)


def shown(task: Task, config: LabelConfig) -> list[MaskRegion]:
    """Return the accepted masks that the annotator who asks can see, the most recent last."""
    regions: dict[str, MaskRegion] = {}
    for saved in task.saved.shown:
        for region in accepted(saved.results, config.remarks):
            regions.pop(region.id, None)
            regions[region.id] = region
    return list(regions.values())


def candidates(prompt: Prompt, task: Task, config: LabelConfig) -> list[AcceptedObject]:
    """Return the accepted objects of a prompt's label and image that it could go on from, the most recent first.

    Locked and empty ones and those that cannot be read are left out, the latter with a warning in the log.
    """
    wanted = (prompt.labels, (prompt.to_name, prompt.item_index or 0), prompt.height, prompt.width)
    free = [r.fitted(prompt.height, prompt.width) for r in shown(task, config) if not r.locked]
    fitting = [r for r in free if (r.labels, r.image, r.height, r.width) == wanted]
    readable = []
    for candidate in reversed(objects(fitting)):
        try:
            if candidate.box is not None:
                readable.append(candidate)
        except ValueError as error:
            logger.warning("region %s of task %s cannot be read: %s", candidate.id, task.id, error)
    return readable


def under(click: Click, among: Iterable[AcceptedObject]) -> AcceptedObject | None:
    """Return the first of some objects that a click lies in; None where it is outside all of them.

    One that cannot be read is left out, with a warning in the log.
    """
    for candidate in among:
        try:
            if candidate.contains(click.x, click.y):
                return candidate
        except ValueError as error:
            logger.warning("region %s cannot be read: %s", candidate.id, error)
    return None
