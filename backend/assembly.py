"""The parts of one backend process, put together; whichever server it runs in."""

from __future__ import annotations

from collections import Counter
from typing import Any

from backend.clicks.last_object import LastObjects
from backend.clicks.map_cache import MapCache
from backend.clicks.pipeline import Parts
from backend.clicks.service import Service
from backend.images.store import ImageStore
from backend.jobs.configure import policy
from backend.jobs.webhook_queue import WebhookQueue
from backend.label_studio.client import LabelStudio
from backend.metrics import Metrics
from backend.redis_store import OptionalRedis
from backend.review.click_log import ClickLog
from backend.review.project_review import ProjectReview
from backend.review.updater import ReviewUpdater
from backend.serving.model_pool import ModelPool, load
from backend.settings import Settings
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import outcomes
from fine_tune.project.scheduler import Scheduler
from model.versions.registry import Registry

STATES = ("queued", "scheduled", "started", "finished", "failed", "canceled")  # of jobs, in RQ's words


class Backend:
    """Everything behind the routes of one process; found in ``app.extensions["clickmask"]``.

    Args:
        settings: of the process; its models begin to load in the background.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.store = OptionalRedis(settings.redis_url)
        self.registry = Registry(settings.home, settings.registry)
        self.serving = ModelPool(
            self.registry,
            lambda version: load(version, settings),
            settings.loaded_models,
            self._model_changed,
        )
        client, tracer = LabelStudio(settings), ClickLog(self.store, settings.trace_days)
        parts = Parts(
            settings=settings,
            serving=self.serving,
            images=ImageStore(settings, client),
            sessions=MapCache(
                self.store,
                settings.session_cache_mb << 20,
                settings.session_ttl_s,
                f"{settings.device}-{settings.precision}-{settings.flip:d}:",
            ),
            memory=LastObjects(self.store, settings.session_ttl_s),
            metrics=self.metrics,
            tracer=tracer,
        )
        self.service = Service(parts)
        self.events = WebhookQueue(self.store, self.metrics, policy=policy(settings))
        self.refresh = ReviewUpdater(
            self.store, lambda project: ProjectReview(client, tracer, settings.home, project)
        )
        self.serving.start()

    def close(self) -> None:
        """End the background threads; what waits for Redis is written first if that takes little time."""
        self.serving.stop()
        self.events.stop()
        self.refresh.stop()
        self.store.close()

    def status(self) -> dict[str, Any]:
        """What there is to know about this process, for the readiness probe and the status page."""
        loaded, problems = self.serving.loaded(), self.serving.problems()
        running, waiting = self.service.slots.load()
        return {
            "ready": "base" in loaded,
            "reason": "" if "base" in loaded else problems.get("base", "the model is still loading"),
            "models": {line: {"version": s.version, "device": s.device} for line, s in loaded.items()},
            "problems": problems,
            "redis": self.store.state(),
            "predictions": {"running": running, "waiting": waiting},
        }

    def measure(self) -> None:
        """Bring the gauges of this process up to date."""
        running, waiting = self.service.slots.load()
        self.metrics.running.set(running)
        self.metrics.waiting.set(waiting)
        for name, value in self.service.parts.images.stats().items():
            self.metrics.images.labels(name).set(value)
        self.store.attempt(self._measure_jobs, None)

    def _measure_jobs(self, client: Any) -> None:
        states = Counter(job.get_status(refresh=False).value for job in Scheduler(client).jobs())
        for state in STATES:
            self.metrics.jobs.labels(state).set(states[state])
        for project in Ledger(client).projects():
            ended = outcomes(client, project)
            for outcome in ended[:1]:
                self.metrics.job_seconds.labels(str(project)).set(outcome.seconds)
            for outcome in [o for o in ended if o.status == "promoted"][:1]:
                self.metrics.promoted.labels(str(project)).set(outcome.at)

    def _model_changed(self, version: str, device: str, loaded: bool) -> None:
        self.metrics.model.labels(version, device).set(int(loaded))
