"""Ranks the tasks that nobody has annotated or skipped by how much an annotation of each is expected to teach.

Ranking only reads. `publish` writes a number into the tasks' data and a tab of the Data Manager.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from backend.clicks.proposer import pages
from backend.images.address import ImageError
from backend.images.store import ImageStore
from backend.label_studio.client import UNLABELLED, LabelStudio, Record
from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.label_studio.predict_request import Task
from backend.operations.propose_job import open_tasks
from backend.review.task_column import TaskColumn
from backend.serving.loader import LoadedModel, load
from backend.settings import Settings
from fine_tune.proposals.active_learning import query_order
from model.errors import ClickmaskError
from model.inference.domain import Domain, describe
from model.versions.checkpoint import read_card
from model.versions.registry import Registry

logger = logging.getLogger(__name__)

COLUMN = "label_next"  # of task data: 1 for the first
TAB = "To label next"
_NUMBERS = TaskColumn(COLUMN, TAB, UNLABELLED)
UNKNOWN = 0.5  # doubt of a model that proposes nothing


class NothingLeft(ClickmaskError, RuntimeError):
    """There is no task to rank."""


@dataclass(frozen=True)
class RankedTask:
    """One task with what its annotation is worth, 0 or more, and how much the model doubts, 0..1."""

    task: int
    worth: float
    doubt: float


def rank(
    project: int,
    settings: Settings,
    limit: int,
    on_task: Callable[[int, int], None] = lambda done, total: None,
) -> list[RankedTask]:
    """Rank at most `limit` tasks without an annotation, the most valuable first.

    Args:
        on_task: called with (tasks looked at, tasks in all).

    Raises:
        NothingLeft: no task is without an annotation, or the image of none can be read.
        LabelStudioError: Label Studio cannot be asked.
    """
    client = LabelStudio(settings)
    images, xml = ImageStore(settings, client, gives_up=True), client.project(project)["label_config"]
    model, known = _served(project, settings)
    tasks = list(islice(open_tasks(client, project), limit))
    looked: list[tuple[Record, np.ndarray, float]] = []
    for number, task in enumerate(tasks, 1):
        try:
            pixels = _first_image(images, xml, task)
        except (ImageError, LabelConfigError) as error:
            logger.warning("task %d is left out: %s", task["id"], error)
            continue
        proposer = model.proposer if model else None
        doubt = proposer.doubt(pixels) if proposer else UNKNOWN
        looked.append((task, describe(pixels), doubt))
        on_task(number, len(tasks))
    if not looked:
        raise NothingLeft(f"project {project} has no task without an annotation whose image can be read")
    doubts = np.array([doubt for _, _, doubt in looked])
    order = query_order(np.stack([description for _, description, _ in looked]), known, doubts)
    return [RankedTask(looked[place][0]["id"], worth, looked[place][2]) for place, worth in order]


def _first_image(images: ImageStore, xml: str, task: Record) -> np.ndarray:
    """Fetch the first image of a task (HxWx3 uint8 RGB); ImageError where it has none or it cannot be had."""
    config = LabelConfig.parse(xml, task["data"])
    page = next(pages(config, Task(task["id"], task["data"])), None)
    if page is None:
        raise ImageError("its data has no image: look at the labeling config")
    picture = images.get(page.url, task["id"])
    images.forget(page.url, task["id"])  # it is used once
    return picture.pixels


def publish(project: int, client: LabelStudio, ranked: Sequence[RankedTask]) -> int:
    """Write the order into the tasks' data and make the tab; return how many tasks changed.

    Other tasks without an annotation lose the number that an earlier order gave them.

    Raises:
        LabelStudioError: Label Studio refuses or does not answer; done again, it goes on.
    """
    changed = sum(_NUMBERS.write(client, entry.task, number) for number, entry in enumerate(ranked, 1))
    chosen = {entry.task for entry in ranked}
    for task in open_tasks(client, project):
        if COLUMN in task["data"] and task["id"] not in chosen:
            changed += _NUMBERS.write(client, task["id"], None)
    _NUMBERS.show(client, project)
    return changed


def _served(project: int, settings: Settings) -> tuple[LoadedModel | None, np.ndarray]:
    """Return the project's own model, and the descriptions of images that it learned from (MxD)."""
    nothing = np.zeros((0, describe(np.zeros((8, 8, 3), np.uint8)).size), np.float32)
    version = Registry(settings.home, settings.registry).current(f"project-{project}")
    if version is None:
        return None, nothing
    card = read_card(version.path)
    described = card.get("domain") or card.get("proposals", {}).get("domain")
    return load(version, settings), Domain.from_json(described).exemplars if described else nothing
