"""Makes the prediction for a task that nobody has clicked yet: the objects that the project's model proposes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from backend.images.address import ImageError
from backend.images.store import ImageStore, Picture
from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.label_studio.predict_request import Prompt, Task
from backend.label_studio.predict_response import Answer, Suggestion, fresh_id
from backend.serving.loader import LoadedModel
from backend.settings import Settings
from model.proposals.propose import Proposal

logger = logging.getLogger(__name__)

MAX_PAGES = 20  # images of one task that are looked at


@dataclass(frozen=True)
class Page:
    """One image of a task: name of its tag, address, and position where the tag has several."""

    to_name: str
    url: str
    item_index: int | None


@dataclass(frozen=True)
class Predicted:
    """What is proposed on a task.

    Attributes:
        record: the prediction as Label Studio keeps it; None where nothing is proposed.
        lacking: what kept more from being proposed: an image that cannot be had, or else a label that has no place in
            the labeling config; None where nothing did.
    """

    record: dict[str, Any] | None = None
    lacking: ImageError | LabelConfigError | None = None


class TaskProposer:
    """Proposes the objects on a task's images; safe to call from several threads, for which it computes in turn."""

    def __init__(self, settings: Settings, images: ImageStore) -> None:
        self._settings, self._images = settings, images
        self._computing = threading.Lock()

    @property
    def options(self) -> tuple[int, float]:
        """Return the settings that a prediction depends on."""
        return self._settings.proposals, self._settings.polygon_tolerance

    def prediction(self, config: LabelConfig, task: Task, model: LoadedModel) -> Predicted:
        """Return what is proposed on a task; its score, as that of every region, is the expected quality, 0..1."""
        if model.proposer is None or not self._settings.proposals:
            return Predicted()
        regions: list[dict[str, Any]] = []
        scores: list[float] = []
        missing: ImageError | None = None
        homeless: LabelConfigError | None = None
        for page in pages(config, task):
            try:
                picture = self._images.get(page.url, task.id)
            except ImageError as error:
                logger.warning("task %s: an image is left out: %s", task.id, error)
                missing = missing or error
                continue
            with self._computing:
                if not model.proposer.covers(picture.pixels):
                    text = "task %s: its image is unlike those that proposals were learned from"
                    logger.info(text, task.id)
                    continue
                left = self._settings.proposals - len(scores)
                for proposal in model.proposer.propose(picture.pixels, left):
                    try:
                        regions += self._suggest(config, page, picture, proposal, model)
                        scores.append(proposal.score)
                    except LabelConfigError as error:
                        logger.info("task %s: a proposal is left out: %s", task.id, error)
                        homeless = homeless or error
        if not regions:
            return Predicted(lacking=missing or homeless)
        score = float(np.mean(scores))
        record = {"result": regions, "score": score, "model_version": model.version}
        return Predicted(record, missing or homeless)

    def _suggest(
        self, config: LabelConfig, page: Page, picture: Picture, proposal: Proposal, model: LoadedModel
    ) -> tuple[dict[str, Any], ...]:
        """Write one proposal as regions; LabelConfigError where the config has no place for its label."""
        assert model.proposer is not None, "it proposed this"
        label = model.proposer.labels[proposal.label]
        height, width = picture.pixels.shape[:2]
        prompt = Prompt(
            labels=(label,) if label else (),
            to_name=page.to_name,
            controls=(),
            width=width,
            height=height,
            clicks=(proposal.click,),
            item_index=page.item_index,
        )
        outputs = config.named(prompt.to_name, prompt.labels)
        known = model.proposer.expectation
        answer = Answer(
            proposal.mask,
            proposal.score,
            model.version,
            fresh_id(prompt, model.version),
            proposed=True,
            expected=(round(proposal.score, 3), round(known.error, 3)) if known else None,
        )
        # Nobody clicked: a correction begins with the annotator's own click.
        prompt = replace(prompt, clicks=())
        return Suggestion.of(prompt, outputs, answer, self._settings.polygon_tolerance).regions


def pages(config: LabelConfig, task: Task) -> Iterator[Page]:
    """Yield the images of a task that have an address."""
    places = ((tag, index) for tag in config.images for index in tag.indices(task.data))
    for tag, index in islice(places, MAX_PAGES):
        try:
            yield Page(tag.name, tag.url(task.data, index), index)
        except LabelConfigError as error:
            logger.info("task %s: %s", task.id, error)
