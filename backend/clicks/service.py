"""Requests for predictions, from a decoded JSON body to the list that goes under ``results``."""

from __future__ import annotations

import logging
from typing import Any

from backend.clicks.admission import AdmissionControl, DeadlineExceeded, Overloaded
from backend.clicks.pipeline import ClickPipeline, Parts, Regions
from backend.images.store import ImageError
from backend.label_studio.label_config import LabelConfigError
from backend.label_studio.predict_request import PredictRequest, Prompt
from backend.label_studio.predict_response import prediction
from backend.serving.model_pool import NotReady

logger = logging.getLogger(__name__)


class Service:
    """Answers ``/predict``, for whichever server it runs in; safe to call from several threads."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.slots = AdmissionControl(parts.settings.slots, parts.settings.queue)

    def predict(self, body: Any) -> list[Any]:
        """Answer a decoded ``/predict`` body.

        Raises:
            RequestError: the body cannot be understood.
            Overloaded: too many predictions at once.
            NotReady: there is no model.
        """
        request = PredictRequest.parse(body)
        if request.context is None:
            return self._opened(request)
        regions: Regions = []
        scores = []
        for prompt in request.context:
            found, score = self._answer(request, prompt)
            regions += found
            scores.append(score)
        version = self.parts.serving.version_of(request.project_id)
        if regions:  # another one may have taken the place of the one that answered
            version = regions[-1]["meta"]["model_version"]
        return [prediction(regions, min(scores, default=0.0), version)]

    def version_of(self, project: int | None) -> str:
        """Return the version that answers for a project, and have it loaded soon; "" where there is none."""
        self.parts.serving.prepare(project)
        return self.parts.serving.version_of(project)

    def _opened(self, request: PredictRequest) -> list[Any]:
        """Nothing was clicked: a task was opened, or predictions of many were asked for.

        Each task gets an empty list of predictions. A prediction with an empty result would be stored: it adds a
        tab to the task and marks the annotation as derived from a prediction. Of the list nothing is stored, and
        Label Studio asks again whenever the task is opened, which is when its image will be needed.
        """
        self.parts.serving.prepare(request.project_id)
        if len(request.tasks) == 1:  # many tasks are no sign that anybody is about to click
            for url in request.image_urls(request.tasks[0]):
                self.parts.images.prefetch(url, request.tasks[0].id)
        return [[] for _ in request.tasks]

    def _answer(self, request: PredictRequest, prompt: Prompt) -> tuple[Regions, float]:
        """Regions and score for one prompt; where there is no mask, the last good one or nothing.

        Label Studio shows an annotator nothing of an error and takes the pending suggestion away; so an answer
        without a mask says as much, and what is wrong is in the log, the metrics and on the status page.
        """
        turn = ClickPipeline(self.parts, request, prompt)
        try:
            return self.slots.run(turn.answer, self.parts.settings.deadline_s)
        except ImageError as error:
            reason, text = "image", str(error)
        except LabelConfigError as error:
            reason, text = "label_config", str(error)
        except DeadlineExceeded as error:
            reason, text = "deadline", str(error)
        except (Overloaded, NotReady):
            raise
        except Exception:
            logger.exception("task %s, %s: failed", request.tasks[0].id, prompt.summary())
            self.parts.metrics.refuse("error", request.tasks[0].id, "internal error, see the log")
            last = turn.last_good()
            if not last[0]:
                raise
            return last
        task = request.tasks[0].id
        logger.warning("task %s, %s: no mask: %s", task, prompt.summary(), text)
        self.parts.metrics.refuse(reason, task, text)
        return turn.last_good() if reason == "deadline" else ([], 0.0)
