"""One prompt, from the request to the regions that go back."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.clicks.last_object import LastObject, LastObjects, annotator
from backend.clicks.map_cache import MapCache
from backend.clicks.replay import ClickSequence, before, follow, trail_of
from backend.clicks.target import Target, beginning, to_points
from backend.images.store import ImageError, ImageStore
from backend.label_studio.predict_request import PredictRequest, Prompt, Task
from backend.label_studio.predict_response import Answer, fresh_id, to_regions
from backend.metrics import Metrics
from backend.review.click_log import Answered, ClickLog
from backend.serving.model_pool import ModelPool
from backend.settings import Settings
from model.inference.clean import remove_small_regions

logger = logging.getLogger(__name__)

Regions = list[dict[str, Any]]


@dataclass(frozen=True)
class Parts:
    """What answering takes; shared by all threads of a process."""

    settings: Settings
    serving: ModelPool
    images: ImageStore
    sessions: MapCache
    memory: LastObjects
    metrics: Metrics
    tracer: ClickLog


class ClickPipeline:
    """Answers one prompt of a request."""

    def __init__(self, parts: Parts, request: PredictRequest, prompt: Prompt) -> None:
        self._parts, self._request, self._prompt = parts, request, prompt
        self._task: Task = request.tasks[0]

    def answer(self) -> tuple[Regions, float]:
        """Return the regions (none for an empty mask) and the score, 0 to 1.

        Raises:
            ImageError: the image cannot be had, or is not the one in the browser.
            LabelConfigError: the labeling config has no place for the answer.
            NotReady: there is no model.
        """
        parts, prompt, started = self._parts, self._prompt, time.perf_counter()
        self._request.config.outputs(prompt.to_name, prompt.labels)  # fails before any work is done in vain
        with parts.metrics.stage("image"):
            image, digest = self._image()
        # Less than the deadline, so that who waits in vain learns why.
        served = parts.serving.take(self._request.project_id, 0.8 * parts.settings.deadline_s)
        recent = parts.memory.recall(self._request.project_id, self._task, prompt)
        begin = beginning(prompt, self._task, recent, self._map_of, time.time())
        trail = trail_of(prompt, begin, served.version, digest)
        if trail.start is None and not any(click.positive for click in trail.clicks):
            logger.info("task %s, %s: nothing to take away from", self._task.id, prompt.summary())
            return [], 0.0
        values = follow(trail, served.predictor, image, parts.sessions, parts.metrics)
        regions, score = self._encode(values, trail, begin)
        region_id = begin.region_id or fresh_id(prompt, served.version)
        self._remember(trail, begin, region_id)
        self._trace(values, trail, begin, region_id, time.perf_counter() - started)
        logger.info(
            "task %s, %s: %s %s, score %.2f",
            self._task.id,
            prompt.summary(),
            "continues" if begin.region_id else "new object",
            region_id,
            score,
        )
        return regions, score

    def last_good(self) -> tuple[Regions, float]:
        """Return the last answer to this object, if the clicks go on from it, else nothing."""
        parts = self._parts
        recent = parts.memory.recall(self._request.project_id, self._task, self._prompt)
        if recent is None or not set(recent.prompts) & set(self._prompt.ids):
            return [], 0.0
        values = self._map_of(recent)
        if values is None or values.shape != (self._prompt.height, self._prompt.width):
            return [], 0.0
        return self._encode(values, ClickSequence(recent.chain, recent.clicks), Target(recent.region_id))

    def _image(self) -> tuple[np.ndarray, str]:
        """The image (HxWx3 uint8 RGB) and a digest of its pixels."""
        prompt = self._prompt
        url = self._request.config.image(prompt.to_name).url(self._task.data, prompt.item_index)
        image = self._parts.images.get(url, self._task.id)
        if image.pixels.shape[:2] != (prompt.height, prompt.width):  # the file may have been replaced
            self._parts.images.forget(url, self._task.id)
            image = self._parts.images.get(url, self._task.id)
        height, width = image.pixels.shape[:2]
        if (height, width) != (prompt.height, prompt.width):
            raise ImageError(
                f"the image is {width}x{height} here but {prompt.width}x{prompt.height} in the browser; "
                "reload the task, and serve the same file to both"
            )
        return image.pixels, image.digest

    def _map_of(self, recent: LastObject) -> np.ndarray | None:
        found = self._parts.sessions.get(recent.chain.key(recent.clicks))
        return None if found is None else found[0]

    def _remember(self, trail: ClickSequence, begin: Target, region_id: str) -> None:
        """Keep what the next click may go on from."""
        prompt = self._prompt
        recent = LastObject(
            region_id=region_id,
            chain=trail.chain,
            clicks=trail.clicks,
            prompts=(*begin.prompts, *prompt.ids),
            together=len(prompt.clicks),
            size=(prompt.height, prompt.width),
            at=time.time(),
        )
        self._parts.memory.remember(self._request.project_id, self._task, prompt, recent)

    def _trace(
        self, values: np.ndarray, trail: ClickSequence, begin: Target, region_id: str, latency: float
    ) -> None:
        """Note how the object is made, for the quality of annotations; costs the annotator nothing."""
        sessions = self._parts.sessions
        answered = Answered(
            project=self._request.project_id,
            task=self._task.id,
            annotator=annotator(self._task),
            prompt=self._prompt,
            earlier=begin.prompts,
            in_force=trail.in_force,
            before=lambda: before(trail, sessions),
            after=values,
            version=trail.chain.version,
            region=region_id,
            latency=latency,
        )
        self._parts.tracer.record(answered)

    def _encode(self, values: np.ndarray, trail: ClickSequence, begin: Target) -> tuple[Regions, float]:
        metrics = self._parts.metrics
        with metrics.stage("clean"):
            mask = remove_small_regions(values, trail.in_force)
        with metrics.stage("encode"):
            # How sure the model is of what it marked.
            score = float(values[mask].mean()) / 255 if mask.any() else 0.0
            answer = Answer(
                mask=mask,
                score=score,
                model_version=trail.chain.version,
                region_id=begin.region_id,
                earlier_prompts=begin.prompts,
                meta={"points": to_points(trail.in_force)},
            )
            regions = to_regions(
                self._prompt, self._request.config, answer, self._parts.settings.polygon_tolerance
            )
        return regions, score
