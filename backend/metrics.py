"""Counts for Prometheus: in one process, or in all gunicorn workers together.

prometheus_client shares values between processes through files in PROMETHEUS_MULTIPROC_DIR; it looks at that
variable when it is first imported, so backend.web.server sets it before any of several workers starts.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from backend.settings.masking import mask

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10)
RECENT_REFUSALS = 50


class _Families:
    """Hands out gauges that are made whole each time: the library's own never lose a label."""

    shown: Sequence[Metric] = ()

    def collect(self) -> Sequence[Metric]:
        return self.shown


class Metrics:
    """Holds the counters of a process, and the last requests that got no mask.

    Args:
        observer: told of every stage and its seconds, for benchmarks, which histograms are too coarse for.
    """

    def __init__(self, observer: Callable[[str, float], None] = lambda *_: None) -> None:
        self._registry = registry = CollectorRegistry()
        self._observer = observer
        seconds = partial(Histogram, registry=registry, buckets=BUCKETS)
        count = partial(Counter, registry=registry)
        total = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        self.requests = seconds("clickmask_request_seconds", "Time to answer a request.", ["route", "status"])
        self.stages = seconds("clickmask_stage_seconds", "Time in one stage of a click.", ["stage"])
        self.sessions = count(
            "clickmask_session_lookups", "Where the mask of the clicks before was found.", ["where"]
        )
        self.refused = count("clickmask_refused", "Clicks that got no mask, by reason.", ["reason"])
        self.events = count("clickmask_webhook_events", "Webhook events.", ["action", "outcome"])
        self.running = total("clickmask_predictions_running", "Predictions being computed.")
        self.waiting = total("clickmask_predictions_waiting", "Predictions in the queue.")
        self.images = total(
            "clickmask_images",
            "The cache of decoded images: hits and misses since start, bytes and images held.",
            ["what"],
        )
        self.model = Gauge(
            "clickmask_model_info",
            "1 for each model version that is loaded.",
            ["version", "device"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._learning = _Families()
        registry.register(self._learning)
        self._recent: deque[dict[str, str]] = deque(maxlen=RECENT_REFUSALS)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage: image, session, predict, clean or encode."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - begin
            self.stages.labels(name).observe(took)
            self._observer(name, took)

    # A scrape reaches one of several processes: the others show what they noted last.
    def note_load(self, running: int, waiting: int) -> None:
        """Show how many predictions run and wait."""
        self.running.set(running)
        self.waiting.set(waiting)

    def note_images(self, stats: Mapping[str, int]) -> None:
        """Show what `ImageStore.stats` tells."""
        for name, value in stats.items():
            self.images.labels(name).set(value)

    def note_learning(self, families: Sequence[Metric]) -> None:
        """Show gauges of what all processes share, and nothing that they showed before."""
        self._learning.shown = families

    def refuse(self, reason: str, task: int | None, text: str) -> None:
        """Count a click that got no mask and remember why; ``reason`` is one of few words, ``text`` a sentence."""
        self.refused.labels(reason).inc()
        when = datetime.now(UTC).isoformat(timespec="seconds")
        self._recent.append(
            {"time": when, "reason": reason, "task": "" if task is None else str(task), "text": mask(text)}
        )

    def recent_refusals(self) -> list[dict[str, str]]:
        """Return the last refused requests of this process, newest first: time, reason, task ("" for none), text."""
        return list(self._recent)[::-1]

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(self._learning)  # the same in every process
        return generate_latest(registry)
