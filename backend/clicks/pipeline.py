"""Answers one prompt, stage by stage: image, model, target, replay of the clicks, suggestion."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

import numpy as np

from backend.clicks.habits import Habits
from backend.clicks.last_object import LastObject, LastObjects
from backend.clicks.map_cache import MapCache
from backend.clicks.ownership import Ownership
from backend.clicks.replay import ClickSequence, map_before, replay
from backend.clicks.target import Surroundings, Target, choose_target
from backend.images.address import ImageError
from backend.images.store import ImageStore, Picture
from backend.label_studio.label_config import BITMASK
from backend.label_studio.mask_regions import shown
from backend.label_studio.predict_request import PredictRequest, Prompt
from backend.label_studio.predict_response import Answer, Suggestion, fresh_id
from backend.metrics import Metrics
from backend.review.click_log import Answered, ClickLog
from backend.serving.model_pool import ModelPool
from backend.settings import Settings
from model.errors import ClickmaskError
from model.inference.clean import remove_small_regions

logger = logging.getLogger(__name__)


class NothingToMark(ClickmaskError, ValueError):
    """Clicks that can make no mask; the message says why."""


@dataclass(frozen=True)
class _Done:
    """What the stages came to: `values` is the map (HxW uint8) of the answer, `named` whether clicks had a label."""

    target: Target
    sequence: ClickSequence
    values: np.ndarray
    answer: Answer
    seconds: float
    named: bool


@dataclass(frozen=True)
class ClickPipeline:
    """The stages that a click passes; one pipeline serves all threads of a process."""

    settings: Settings
    models: ModelPool
    images: ImageStore
    maps: MapCache
    last_objects: LastObjects
    habits: Habits
    ownership: Ownership
    click_log: ClickLog
    metrics: Metrics

    def answer(self, request: PredictRequest, prompt: Prompt) -> Suggestion:
        """Return the suggestion for one prompt of an interactive request; without regions for an empty mask.

        Raises:
            ImageError: the image cannot be had, or is not the one in the browser.
            LabelConfigError: the labeling config has no place for the answer.
            NothingToMark: there are only clicks that take away, and nothing to take away from.
            NotReady: there is no model.
        """
        started, task, asked = time.perf_counter(), request.tasks[0], prompt
        prompt = self._labelled(request, prompt)
        outputs = request.config.outputs(prompt.to_name, prompt.labels)  # before any work is done in vain
        with self.metrics.stage("image"):
            image = self._image(request, prompt)
        # Less than the deadline, so that who waits in vain learns why.
        model = self.models.take(request.project_id, 0.8 * self.settings.deadline_s)
        last = self.last_objects.recall(request.project_id, task, prompt)
        whose = self.ownership.of(request.project_id, task.saved)
        known = Surroundings(
            last,
            self._map_of,
            whose,
            lambda: self.habits.several(request.project_id, task, prompt),
            named=bool(asked.labels),
        )
        target = choose_target(prompt, task, known, time.time())
        sequence = ClickSequence.of(prompt, target, model, image.digest)
        if sequence.empty:
            raise NothingToMark(
                "there is nothing to take away from: begin an object with a click without Alt"
            )
        values = replay(sequence, model.predictor, image.pixels, self.maps, self.metrics)
        # The editor breaks where a bitmask that is selected is replaced, as a click in it selects it.
        kept = None if any(output.mask.shape == BITMASK for output in outputs) else target.region_id
        region_id = kept or fresh_id(prompt, model.version)
        answer = self._cleaned(values, sequence, region_id, (*target.prompts, *prompt.ids), target.proposed)
        with self.metrics.stage("encode"):
            suggestion = Suggestion.of(prompt, outputs, answer, self.settings.polygon_tolerance)
        done = _Done(target, sequence, values, answer, time.perf_counter() - started, bool(asked.labels))
        try:
            self._keep(request, prompt, done)
            self.habits.note(request.project_id, task, prompt, unlabelled=not asked.labels)
        except Exception:  # the mask is there: no bookkeeping may lose it
            logger.exception("task %s, %s: answered, but not taken note of", task.id, prompt.summary())
        return suggestion

    def last_good(self, request: PredictRequest, prompt: Prompt) -> Suggestion:
        """Return the last suggestion for this object again, if the clicks go on from it, else an empty one."""
        prompt = self._labelled(request, prompt)
        last = self.last_objects.recall(request.project_id, request.tasks[0], prompt)
        if last is None or not set(last.prompts) & set(prompt.ids):
            return Suggestion()
        values = self._map_of(last)
        if values is None or values.shape != (prompt.height, prompt.width):
            return Suggestion()
        outputs = request.config.outputs(prompt.to_name, prompt.labels)
        sequence = ClickSequence(last.key, last.clicks)
        answer = self._cleaned(values, sequence, last.region_id, prompt.ids, last.proposed)
        return Suggestion.of(prompt, outputs, answer, self.settings.polygon_tolerance)

    def _labelled(self, request: PredictRequest, prompt: Prompt) -> Prompt:
        """Give a prompt that came without a label one, which its suggestion then shows."""
        if prompt.labels:
            return prompt
        task = request.tasks[0]
        choices = request.config.labels(prompt.to_name, task.data)
        if len(choices) > 1:
            drawn = next((region.labels for region in reversed(shown(task)) if region.labels), ())
            return replace(prompt, labels=self.habits.label(request.project_id, task, prompt, drawn, choices))
        return replace(prompt, labels=choices)

    def _image(self, request: PredictRequest, prompt: Prompt) -> Picture:
        """Fetch the image, which must have the size that it has in the browser."""
        url, task = request.image_url(prompt), request.tasks[0].id
        image = self.images.get(url, task)
        if image.pixels.shape[:2] != (prompt.height, prompt.width):  # the file may have been replaced
            self.images.forget(url, task)
            image = self.images.get(url, task)
        height, width = image.pixels.shape[:2]
        if (height, width) != (prompt.height, prompt.width):
            raise ImageError(
                f"the image is {width}x{height} here but {prompt.width}x{prompt.height} in the browser; "
                "reload the task, and serve the same file to both"
            )
        return image

    def _map_of(self, last: LastObject) -> np.ndarray | None:
        """Return the map (HxW uint8) of an object; None where it is gone."""
        found = self.maps.get(last.key.name(last.clicks))
        return None if found is None else found[0]

    def _cleaned(
        self,
        values: np.ndarray,
        sequence: ClickSequence,
        region_id: str,
        prompts: tuple[str, ...],
        proposed: bool,
    ) -> Answer:
        """Make the answer of a map (HxW uint8): the mask without specks, and how sure the model is of it."""
        with self.metrics.stage("clean"):
            mask = remove_small_regions(values, sequence.in_force)
        score = float(values[mask].mean()) / 255 if mask.any() else 0.0
        return Answer(mask, score, sequence.key.version, region_id, prompts, sequence.in_force, proposed)

    def _keep(self, request: PredictRequest, prompt: Prompt, done: _Done) -> None:
        """Keep what the next click may go on from, and how the object is made; costs the annotator nothing."""
        task, answer, sequence = request.tasks[0], done.answer, done.sequence
        last = LastObject(
            region_id=answer.region_id,
            key=sequence.key,
            clicks=sequence.clicks,
            prompts=answer.prompts,
            together=len(prompt.clicks),
            size=(prompt.height, prompt.width),
            at=time.time(),
            drafted=task.saved.drafted,
            named=done.named,
            proposed=answer.proposed,
        )
        self.last_objects.remember(request.project_id, task, prompt, last)
        maps = self.maps
        answered = Answered(
            project=request.project_id,
            task=task.id,
            annotator=task.saved.annotator,
            prompt=prompt,
            earlier=done.target.prompts,
            in_force=sequence.in_force,
            before=lambda: map_before(sequence, maps),
            after=done.values,
            version=answer.version,
            region=answer.region_id,
            latency=done.seconds,
            proposed=answer.proposed,
        )
        self.click_log.record(answered)
        found = "continues" if done.target.region_id else "new object"
        words = task.id, prompt.summary(), found, answer.region_id, answer.score
        logger.info("task %s, %s: %s %s, score %.2f", *words)
