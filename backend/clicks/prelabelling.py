"""Answers where nobody has clicked: a task was opened, or predictions of many tasks were asked for.

A task whose project's model proposes objects gets them as a prediction, any other one an empty list. A prediction
with an empty result would be stored: it adds a tab to the task and marks the annotation as derived from a prediction.
An empty list stores nothing, and Label Studio asks again whenever the task is opened.

Whoever opens a task waits for proposals no longer than `OPENED_S`. They are computed one image at a time, so that
clicks are not held up, and kept for a while; those of the next tasks are computed ahead. Images are waited for side
by side: those of a host that hangs do not keep other projects waiting.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from backend.clicks.proposer import Predicted, TaskProposer
from backend.images.address import ImageError
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.label_studio.predict_request import PredictRequest, Task
from backend.metrics import Metrics
from backend.redis_store import PROPOSALS, OptionalRedis, readable
from backend.serving.loader import LoadedModel
from backend.serving.model_pool import ModelPool

logger = logging.getLogger(__name__)

OPENED_S = 0.8  # of the second that opening a task may wait
MANY_S = 60.0  # Label Studio waits 100 s for all tasks of a request together
LOADED_S = 20.0  # of it may pass until the model is loaded
AHEAD = 2  # tasks
KEPT = 64  # predictions in memory
UNDER_WAY = 16  # predictions of one model that wait to be computed; what is asked for beyond is not
MODELS = 2  # whose predictions wait at once

Prediction = dict[str, Any]


class _Late(Exception):
    """A prediction is not there yet."""


class Prelabelling:
    """Proposes objects on tasks; safe to call from several threads.

    Args:
        ttl_s: how long Redis keeps what was computed.
    """

    def __init__(
        self,
        proposer: TaskProposer,
        models: ModelPool,
        client: LabelStudio,
        store: OptionalRedis,
        metrics: Metrics,
        ttl_s: int,
    ) -> None:
        self._proposer, self._models, self._client = proposer, models, client
        self._store, self._metrics, self._ttl_s = store, metrics, ttl_s
        self._pool = ThreadPoolExecutor(UNDER_WAY * MODELS, thread_name_prefix="proposals")
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Prediction | None] = OrderedDict()
        self._under_way: dict[str, tuple[str, Future[Predicted]]] = {}  # with the model's version

    def answer(self, request: PredictRequest) -> list[list[Prediction]]:
        """Return the predictions of every task of a request: one, or none."""
        several = len(request.tasks) != 1
        model = self._models.own(request.project_id, LOADED_S if several else OPENED_S)
        if model is None or model.proposer is None:
            return [[] for _ in request.tasks]
        end, late = time.monotonic() + (MANY_S if several else OPENED_S), 0
        answers: list[list[Prediction]] = []
        for task in request.tasks:
            left, found = max(end - time.monotonic(), 0.0), None
            try:
                if several and not left:
                    raise _Late  # what nobody waits for is not begun
                found = self._of(request, task, model, left)
            except _Late:
                late += 1  # it is kept for the next time that it is asked for
            answers.append([found] if found else [])
        if late and several:
            text = (
                f"{late} of {len(request.tasks)} tasks got no proposals within {MANY_S:.0f} s: "
                f"`clickmask propose {request.project_id}` makes them for the whole project"
            )
            logger.warning("%s", text)
            self._metrics.refuse("proposals_late", request.tasks[-1].id, text)
        if not several:
            self._compute_ahead(request, model)
        return answers

    def close(self) -> None:
        """End the threads that compute."""
        self._pool.shutdown(cancel_futures=True)

    def _of(
        self, request: PredictRequest, task: Task, model: LoadedModel, timeout_s: float
    ) -> Prediction | None:
        """Return the prediction of a task; None where there is none.

        Raises:
            _Late: it is not there yet.
        """
        if task.saved.annotations or task.saved.drafts:
            return None  # somebody works on it, or has
        try:
            future = self._begin(request.config_of(task), task, model)
            if future is None or not wait([future], timeout_s).done:
                raise _Late
            found = future.result()
        except _Late:
            raise
        except LabelConfigError as error:
            found = Predicted(lacking=error)
        except Exception:  # a task is opened without proposals rather than not at all
            logger.exception("task %s: no proposals", task.id)
            self._metrics.refuse("error", task.id, "proposals failed, see the log")
            return None
        if found.record is None and found.lacking is not None:
            logger.warning("task %s: no proposals: %s", task.id, found.lacking)
            reason = "image" if isinstance(found.lacking, ImageError) else "label_config"
            self._metrics.refuse(reason, task.id, str(found.lacking))
        return found.record

    def _begin(self, config: LabelConfig, task: Task, model: LoadedModel) -> Future[Predicted] | None:
        """Begin to compute a prediction, unless it is known or under way; None where too many are."""
        key = _key(config, task, model, self._proposer.options)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                done: Future[Predicted] = Future()
                done.set_result(Predicted(self._known[key]))
                return done
            if key in self._under_way:
                return self._under_way[key][1]
            if self._has_enough(model):
                return None
            future = self._pool.submit(self._compute, key, config, task, model)
            self._under_way[key] = model.version, future
        future.add_done_callback(lambda _: self._forget(key))
        return future

    def _has_enough(self, model: LoadedModel) -> bool:
        """Whether enough predictions of a model are under way; the lock is held."""
        return sum(version == model.version for version, _ in self._under_way.values()) >= UNDER_WAY

    def _forget(self, key: str) -> None:
        with self._lock:
            self._under_way.pop(key, None)

    def _compute(self, key: str, config: LabelConfig, task: Task, model: LoadedModel) -> Predicted:
        text = self._store.attempt(lambda client: client.get(PROPOSALS + key), None)
        kept = [] if text is None else readable([text], _stored)
        if kept:
            found = Predicted(kept[0])
        else:
            found = self._proposer.prediction(config, task, model)
            if isinstance(found.lacking, ImageError):
                return found  # which may be there the next time
            stored = json.dumps(found.record)
            self._store.cache_behind(lambda client: client.set(PROPOSALS + key, stored, ex=self._ttl_s))
        with self._lock:
            self._known[key] = found.record
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found

    def _compute_ahead(self, request: PredictRequest, model: LoadedModel) -> None:
        """Begin with the tasks that an annotator will probably open next."""
        project, opened = request.project_id, request.tasks[0].id
        if project is None or opened is None or not self._client.configured:
            return

        def begin() -> None:
            try:
                found = self._client.unlabelled_tasks(project, after=opened, count=AHEAD)
            except LabelStudioError as error:
                logger.info("project %d: no proposals ahead: %s", project, error)
                return
            for task in (Task(record["id"], record["data"]) for record in found):
                with suppress(LabelConfigError):  # whoever opens it is told
                    self._begin(request.config_of(task), task, model)

        with self._lock:
            if not self._has_enough(model):
                self._pool.submit(begin)


def _stored(text: bytes) -> Prediction | None:
    """Read what Redis holds of a task; ValueError, KeyError or TypeError for anything else."""
    found = json.loads(text)
    if found is not None and not isinstance(found["result"], list):
        raise ValueError("its result is no list")
    return found  # type: ignore[no-any-return]


def _key(config: LabelConfig, task: Task, model: LoadedModel, options: tuple[int, float]) -> str:
    content = json.dumps([model.version, task.data, repr(config), options], sort_keys=True, default=str)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
