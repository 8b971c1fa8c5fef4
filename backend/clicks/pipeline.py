"""Answers one prompt, stage by stage: image, model, target, replay of the clicks, suggestion."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

import numpy as np

from backend.clicks.admission import DeadlineExceeded
from backend.clicks.candidates import shown
from backend.clicks.habits import Habits
from backend.clicks.last_object import LastObject, LastObjects
from backend.clicks.map_cache import CacheKey, ClickSequence, MapCache
from backend.clicks.ownership import Ownership
from backend.clicks.target import Surroundings, Target, choose_target
from backend.images.address import ImageError
from backend.images.store import ImageStore, Picture
from backend.label_studio.label_config import BITMASK
from backend.label_studio.predict_request import PredictRequest, Prompt
from backend.label_studio.predict_response import Answer, Suggestion, fresh_id
from backend.metrics import Metrics
from backend.review.click_log import Answered, ClickLog
from backend.serving.model_pool import ModelPool
from backend.settings import Settings
from model.errors import ClickmaskError
from model.inference.clean import remove_small_regions
from model.inference.predictor import Predictor

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

    def picture_in_memory(self, request: PredictRequest, prompt: Prompt) -> Picture | None:
        """Return the image of a prompt where it takes no time; None for one that is to be loaded."""
        picture = self.images.peek(request.image_url(prompt), request.tasks[0].id)
        there = picture is not None and picture.pixels.shape[:2] == (prompt.height, prompt.width)
        return picture if there else None

    def picture(self, request: PredictRequest, prompt: Prompt) -> Picture:
        """Return the image of a prompt; it may have to be fetched and decoded first.

        Raises:
            ImageError: it cannot be had, or is not the one in the browser.
            LabelConfigError: the labeling config has no place for the answer.
        """
        request.outputs(self._labelled(request, prompt))  # before any work is done in vain
        return self._image(request, prompt)

    def answer(
        self, request: PredictRequest, prompt: Prompt, image: Picture, waited_s: float = 0.0
    ) -> Suggestion:
        """Return the suggestion for one prompt of an interactive request; without regions for an empty mask.

        Args:
            waited_s: how long the request has waited before.

        Raises:
            LabelConfigError: the labeling config has no place for the answer.
            NothingToMark: there are only clicks that take away, and nothing to take away from.
            DeadlineExceeded: so many clicks are new that they take several requests.
            NotReady: there is no model.
        """
        started, task = time.perf_counter() - waited_s, request.tasks[0]
        named = bool(prompt.labels) or request.nameless(prompt)
        prompt = self._labelled(request, prompt)
        outputs = request.outputs(prompt)
        # Less than the deadline, so that who waits in vain learns why.
        model = self.models.take(request.project_id, 0.8 * (self.settings.deadline_s - waited_s))
        known = self._surroundings(request, prompt, named)
        target = choose_target(prompt, task, known, time.time())
        if target.box is not None:
            prompt = replace(prompt, box=target.box, box_id=target.box_id)
        new = CacheKey(model.version, image.digest, prompt.labels, device=model.device)
        sequence = ClickSequence.of(prompt, new, target.start, target.clicks)
        if sequence.empty:
            raise NothingToMark(
                "there is nothing to take away from: begin an object with a click without Alt"
            )
        values = self._replay(sequence, model.predictor, image.pixels, started + self.settings.deadline_s)
        # The editor breaks where a bitmask that is selected is replaced, as a click in it selects it.
        kept, bits = target.region_id, any(output.mask.shape == BITMASK for output in outputs)
        if kept is not None and (bits or not task.saved.replaceable(kept)):
            kept = None
        region_id = kept or fresh_id(prompt, model.version)
        answer = self._cleaned(values, sequence, region_id, (*target.prompts, *prompt.ids), target.proposed)
        with self.metrics.stage("encode"):
            suggestion = Suggestion.of(
                prompt, outputs, answer, self.settings.polygon_tolerance, task.saved, target.source
            )
        done = _Done(target, sequence, values, answer, time.perf_counter() - started, named)
        try:
            self._keep(request, prompt, done)
            self.habits.note(request.project_id, task, prompt, unlabelled=not named)
        except Exception:  # the mask is there: no bookkeeping may lose it
            logger.exception("task %s, %s: answered, but not taken note of", task.id, prompt.summary())
        return suggestion

    def last_good(self, request: PredictRequest, prompt: Prompt) -> Suggestion:
        """Return the last suggestion for this object again, if the clicks go on from it, else an empty one."""
        prompt, task = self._labelled(request, prompt), request.tasks[0]
        last = self.last_objects.recall(request.project_id, task, prompt)
        if last is None or not set(last.prompts) & set(prompt.ids):
            return Suggestion()
        values = self._map_of(last)
        if values is None or values.shape != (prompt.height, prompt.width):
            return Suggestion()
        outputs = request.outputs(prompt)
        sequence = ClickSequence(last.key, last.clicks)
        answer = self._cleaned(values, sequence, last.region_id, prompt.ids, last.proposed)
        return Suggestion.of(prompt, outputs, answer, self.settings.polygon_tolerance, task.saved)

    def _labelled(self, request: PredictRequest, prompt: Prompt) -> Prompt:
        """Give a prompt that came without a label one, which its suggestion then shows."""
        if prompt.labels or request.nameless(prompt):
            return prompt
        task = request.tasks[0]
        choices = request.config.labels(prompt.to_name)
        if len(choices) > 1:
            drawn = next(
                (region.labels for region in reversed(shown(task, request.config)) if region.labels), ()
            )
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

    def _surroundings(self, request: PredictRequest, prompt: Prompt, named: bool) -> Surroundings:
        """Gather what helps to decide what a prompt belongs to; ``named`` where it came with a label."""
        project, task = request.project_id, request.tasks[0]
        return Surroundings(
            last=self.last_objects.recall(project, task, prompt),
            map_of=self._map_of,
            whose=self.ownership.of(project, task.saved),
            several=lambda: self.habits.several(project, task, prompt),
            named=named,
            nameless=self.ownership.nameless(project, task.saved),
            config=request.config,
        )

    def _replay(
        self, sequence: ClickSequence, predictor: Predictor, image: np.ndarray, until: float
    ) -> np.ndarray:
        """Compute the map (HxW uint8) after all clicks of a sequence that is not empty.

        Every map on the way is cached, so that any prefix of the clicks is a hit next time.

        Args:
            image: HxWx3 uint8 RGB.
            until: time of `time.perf_counter` after which no further pass begins but the first: whoever sends
                hundreds of clicks keeps nobody waiting, and the next request goes on from there.
        """
        values, first, last, place = sequence.start, sequence.first, len(sequence.clicks), "new"
        done = max(first - 1, 0)
        with self.metrics.stage("session"):
            for count in range(last, first - 1, -1):
                found = self.maps.get(sequence.name(count))
                if found is not None:
                    (values, place), done, first = found, count, count + 1
                    break
            self.metrics.sessions.labels("replay" if done < last - 1 else place).inc()
        with self.metrics.stage("predict"):
            for count in range(first, last + 1):
                if count > first and time.perf_counter() >= until:
                    raise DeadlineExceeded(
                        f"{last + 1 - count} of {last} clicks are left for the next request"
                    )
                clicks = sequence.in_force[: len(sequence.key.base) + count]
                values = predictor.predict(image, clicks, values)
                self.maps.put(sequence.name(count), values)
        if values is None:
            raise ValueError("neither clicks nor a box nor a mask to go on from")
        return values

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
            box=prompt.box,
            box_id=prompt.box_id,
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
            before=lambda: maps.before(sequence),
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
