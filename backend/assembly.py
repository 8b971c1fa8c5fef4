"""Puts the parts of one backend process together, whichever server it runs in."""

from __future__ import annotations

from collections.abc import Callable

from backend.clicks.habits import Habits
from backend.clicks.last_object import LastObjects
from backend.clicks.map_cache import MapCache
from backend.clicks.ownership import Ownership
from backend.clicks.pipeline import ClickPipeline
from backend.clicks.prelabelling import Prelabelling
from backend.clicks.proposer import TaskProposer
from backend.clicks.service import ClickService
from backend.images.store import ImageStore
from backend.jobs.policy import policy
from backend.jobs.webhook_queue import WebhookQueue
from backend.label_studio.client import LabelStudio
from backend.metrics import Metrics
from backend.redis_store import OptionalRedis
from backend.review.click_log import ClickLog
from backend.review.project_review import ProjectReview
from backend.review.updater import ReviewUpdater
from backend.serving.loader import Loader
from backend.serving.model_pool import ModelPool
from backend.settings import Settings
from model.versions.registry import Registry


class Backend:
    """Holds everything behind the routes of one process; found in ``app.extensions["clickmask"]``.

    Args:
        settings: of the process; its models begin to load in the background.
        observer: told of every stage of a click, see `Metrics`.
    """

    def __init__(self, settings: Settings, observer: Callable[[str, float], None] = lambda *_: None) -> None:
        self.settings, self.metrics = settings, Metrics(observer)
        self.redis = OptionalRedis(settings.redis_url)
        self.registry = Registry(settings.home, settings.registry)
        self.models = ModelPool(self.registry, Loader(settings), settings.loaded_models, self._loaded)
        client, click_log = LabelStudio(settings), ClickLog(self.redis, settings.trace_days)
        self.images = ImageStore(settings, client)
        self.ownership = Ownership(client)
        computed = f"{settings.device}-{settings.precision}-{settings.flip:d}:"
        pipeline = ClickPipeline(
            settings=settings,
            models=self.models,
            images=self.images,
            maps=MapCache(self.redis, settings.session_cache_mb << 20, settings.session_ttl_s, computed),
            last_objects=LastObjects(self.redis, settings.session_ttl_s),
            habits=Habits(self.redis),
            ownership=self.ownership,
            click_log=click_log,
            metrics=self.metrics,
        )
        self.prelabelling = Prelabelling(
            TaskProposer(settings, self.images),
            self.models,
            client,
            self.redis,
            self.metrics,
            settings.session_ttl_s,
        )
        self.service = ClickService(pipeline, self.prelabelling)
        self.webhooks = WebhookQueue(self.redis, self.metrics, policy=policy(settings))
        self.review_updater = ReviewUpdater(
            self.redis, lambda project: ProjectReview(client, click_log, settings.home, project)
        )
        self.models.start()

    def close(self) -> None:
        """End the background threads; what waits for Redis is written first if that takes little time."""
        self.prelabelling.close()
        self.models.stop()
        self.webhooks.stop()
        self.review_updater.stop()
        self.ownership.close()
        self.redis.close()

    def _loaded(self, version: str, device: str, loaded: bool) -> None:
        self.metrics.model.labels(version, device).set(int(loaded))
