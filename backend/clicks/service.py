"""Answers requests for predictions: every prompt within a deadline, and never with an error that nobody sees."""

from __future__ import annotations

import logging
import time
from typing import Any

from backend.clicks.admission import AdmissionControl, DeadlineExceeded, Overloaded
from backend.clicks.pipeline import ClickPipeline
from backend.clicks.prelabelling import Prelabelling
from backend.clicks.refusals import ERRORS, reason_of
from backend.images.address import ImageError, shown
from backend.images.store import Picture
from backend.label_studio.predict_request import PredictRequest, Prompt
from backend.label_studio.predict_response import Suggestion, prediction
from backend.serving.model_pool import NotReady

logger = logging.getLogger(__name__)

UNACCEPTED = (
    "asked without a click: this task, or the one that was open before it, was left with a suggestion that was not "
    "accepted, so that its mask is not saved; the check mark at the bottom accepts"
)

UNANSWERED = (
    'got {}: only clicks and boxes are answered; add smart="false" to its tag, since a suggestion goes away when '
    "Label Studio asks about it"
)


class ImageLate(ImageError, DeadlineExceeded):
    """An image is still being loaded; the next click may find it."""


class ClickService:
    """Answers ``/predict``, for whichever server it runs in; safe to call from several threads."""

    def __init__(self, pipeline: ClickPipeline, prelabelling: Prelabelling) -> None:
        self._pipeline, self._models, self._prelabelling = pipeline, pipeline.models, prelabelling
        self._deadline_s = pipeline.settings.deadline_s
        self.admission = AdmissionControl(
            pipeline.settings.slots, pipeline.settings.queue, pipeline.metrics.note_load
        )
        self._loading = AdmissionControl(pipeline.settings.slots + pipeline.settings.queue, 0)

    def predict(self, request: PredictRequest) -> list[Any]:
        """Return what goes under ``results``.

        Raises:
            Overloaded: too many predictions at once.
            NotReady: there is no model.
        """
        if request.context is None:
            self._prefetch(request)
            return self._prelabelling.answer(request)
        if request.event:
            self._prefetch(request)
        elif not request.context:
            others = ", ".join(request.other_kinds)
            self._refuse(
                request,
                "no_click",
                UNANSWERED.format(others) if others else UNACCEPTED,
            )
        suggestions = [self._suggest(request, prompt) for prompt in request.context]
        empty = not any(suggestion.regions for suggestion in suggestions)
        return [prediction(suggestions, self._models.version_of(request.project_id) if empty else "")]

    def version_of(self, project: int | None) -> str:
        """Return the version that answers for a project, and have it loaded soon; "" where there is none."""
        self._prepare(project)
        return self._models.version_of(project)

    def _prepare(self, project: int | None) -> None:
        """Have the model of a project loaded, and what Label Studio tells of it learned; returns at once."""
        self._models.prepare(project)
        self._pipeline.ownership.learn(project)

    def _prefetch(self, request: PredictRequest) -> None:
        """Have ready what the first click will need."""
        self._prepare(request.project_id)
        if len(request.tasks) == 1:  # many tasks are no sign that anybody is about to click
            for url in request.image_urls(request.tasks[0]):
                self._pipeline.images.prefetch(url, request.tasks[0].id)

    def _suggest(self, request: PredictRequest, prompt: Prompt) -> Suggestion:
        """Return the suggestion for one prompt; where there is no mask, the last good one or an empty one.

        Label Studio shows an annotator nothing of an error and takes the pending suggestion away; so an answer
        without a mask says as much, and what is wrong is in the log, the metrics and on the status page.
        """
        task = request.tasks[0].id
        try:
            suggestion = self._answer(request, prompt)
        except tuple(ERRORS) as error:
            self._refuse(request, reason_of(error), str(error), prompt)
            if isinstance(error, (Overloaded, NotReady)):
                raise
            late = isinstance(error, DeadlineExceeded)
            return self._pipeline.last_good(request, prompt) if late else Suggestion()
        except Exception:
            logger.exception("task %s, %s: failed", task, prompt.summary())
            self._pipeline.metrics.refuse("error", task, "internal error, see the log")
            last = self._pipeline.last_good(request, prompt)
            if not last.regions:
                raise
            return last
        if not suggestion.regions:
            self._refuse(
                request, "empty_mask", "the model marks nothing there; one more click may help", prompt
            )
        return suggestion

    def _answer(self, request: PredictRequest, prompt: Prompt) -> Suggestion:
        """Answer one prompt, which takes a slot when its image is there: a slow host keeps nobody else waiting."""
        pipeline, begin = self._pipeline, time.monotonic()
        with pipeline.metrics.stage("image"):
            image = pipeline.picture_in_memory(request, prompt) or self._load(request, prompt)
        pipeline.metrics.note_images(pipeline.images.stats())
        waited = time.monotonic() - begin
        return self.admission.run(
            lambda: pipeline.answer(request, prompt, image, waited), self._deadline_s, waited
        )

    def _load(self, request: PredictRequest, prompt: Prompt) -> Picture:
        """Wait for an image; `ImageLate` where it does not come within the deadline."""
        try:
            return self._loading.run(lambda: self._pipeline.picture(request, prompt), self._deadline_s)
        except DeadlineExceeded:
            raise ImageLate(
                f"{shown(request.image_url(prompt))}: not there within {self._deadline_s:g} s "
                "(CLICKMASK_DEADLINE_S): is its host slow, or are many images loaded at once?"
            ) from None

    def _refuse(self, request: PredictRequest, reason: str, text: str, prompt: Prompt | None = None) -> None:
        """Tell the operator why an annotator sees no mask: in the log, the metrics and on the status page."""
        task, asked = request.tasks[0].id, f", {prompt.summary()}" if prompt else ""
        logger.warning("task %s%s: no mask: %s", task, asked, text)
        self._pipeline.metrics.refuse(reason, task, text)
