"""Offers clickmask as a class of label-studio-ml, for teams that serve all models with ``label-studio-ml start``.

Put ``from backend.label_studio_ml import ClickMask`` in a file, say ``clickmask_model.py``, and make the project with
``label-studio-ml init served --script clickmask_model.py:ClickMask``. Its name may be any but ``model.py``, the
framework's own suggestion, which hides clickmask's package `model`; in a project of 2.x rename it, and its import in
``_wsgi.py``. Works with label-studio-ml 1.0.9 (the newest on PyPI) and with 2.x (GitHub only). The settings are those
of `clickmask serve`. The framework makes a new object of the class whenever it likes; the model, the caches and the
sessions are one for the process.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import redis
from label_studio_ml.model import LabelStudioMLBase

from backend.assembly import Backend
from backend.jobs.policy import policy
from backend.jobs.webhook_queue import ACTIONS, without_masks, write_event
from backend.json_fields import project_number
from backend.label_studio.predict_request import PredictRequest
from backend.label_studio.predict_response import prediction
from backend.redis_store import OptionalRedis
from backend.settings import Settings

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_backend: Backend | None = None


def shared_backend() -> Backend:
    """Return the backend of this process; the first call builds it."""
    global _backend
    with _lock:
        if _backend is None:
            _backend = Backend(Settings.from_env())
        return _backend


class ClickMask(LabelStudioMLBase):
    """Answers clicks, and takes note of annotations."""

    # The framework's own list has a name that Label Studio never sends, and in 1.0.9 lacks the training button's.
    TRAIN_EVENTS = ACTIONS

    def setup(self) -> None:
        """Name the served version to the framework; called by 2.x only."""
        self.set("model_version", shared_backend().service.version_of(project_number(self.project_id)))

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Any]:
        """Answer as ``/predict`` does.

        Args:
            tasks: as Label Studio sends them.
            context: the prompts; None where nothing was clicked.
            kwargs: login, password and whatever else the framework passes on; not used.

        Returns:
            One entry for each task. Errors are logged and give an empty result: the framework would answer with a
            traceback, and Label Studio would show the annotator neither.
        """
        service = shared_backend().service
        project = tasks[0].get("project") if tasks else None
        project = project or getattr(self, "project_id", None) or None
        body = {
            "tasks": list(tasks),
            "project": project,
            "label_config": self.label_config,
            "params": {"context": context},
        }
        try:
            return service.predict(PredictRequest.parse(body))
        except Exception:
            logger.exception("no prediction")
            if context is None:
                return [[] for _ in tasks]
            return [prediction([], service.version_of(project_number(project)))]

    def fit(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Record what Label Studio reports; training itself is started by the ledger's rules.

        Both ways of calling are understood: ``fit((), event=..., data=...)`` of 1.0.9, which runs in a process of
        its own, and ``fit(event, data)`` of 2.x, which runs inside the request.
        """
        event = kwargs.get("event") or next((arg for arg in args if isinstance(arg, str)), "")
        data = kwargs.get("data") or next((arg for arg in args if isinstance(arg, dict)), {})
        settings = Settings.from_env()
        client = OptionalRedis(settings.redis_url).client()
        if client is None:
            logger.error("%s is lost: no Redis is configured, set CLICKMASK_REDIS_URL", event)
            return {}
        try:
            return {"recorded": write_event(client, policy(settings), event, without_masks(data))}
        except (redis.RedisError, ValueError) as error:
            logger.error("%s is lost: %s", event, error)
            return {}
