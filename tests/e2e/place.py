"""A project in a real Label Studio without a browser: a backend of its own, clicks and annotations over the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import redis

from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import connect
from backend.operations.supervisor import tail
from model.click import Click
from tests import commands
from tests.backend.drawn_regions import brush
from tests.e2e.conftest import Backend
from tests.e2e.label_configs import separate_rows
from tests.label_studio_calls import create_annotation, import_photo, prompt, send_prompts
from tests.waiting import PATIENCE_S, until


class Place:
    """A project that is connected to a backend, with one task for each photo.

    Args:
        photos: files, all of one size.
        shape: height and width of the photos.
    """

    def __init__(
        self, backend: Backend, redis_url: str, photos: Sequence[bytes], shape: tuple[int, int]
    ) -> None:
        self.backend, self.client = backend, LabelStudio(backend.settings)
        self.redis, self.shape = redis.Redis.from_url(redis_url), shape
        record = self.client.create_project(title="place", label_config=separate_rows(("Cat", "Dog")))
        self.project = record["id"]
        for photo in photos:
            import_photo(self.client, self.project, photo)
        connect(self.client, self.project, backend.url, backend.settings)
        self.tasks = sorted(task["id"] for task in self.client.tasks(self.project))

    def click(self, *clicks: Click) -> dict[str, Any]:
        """Click on the first task; returns what the editor gets, see `send_prompts`."""
        prompts = [prompt(click, self.shape) for click in clicks]
        return send_prompts(self.client, self.project, self.tasks[0], prompts)

    def annotate(self, task: int, mask: np.ndarray) -> None:
        """Save a mask (HxW bool), as an annotator would."""
        create_annotation(self.client, task, [brush(f"region{task}", mask)])

    def run(self, *arguments: str) -> str:
        """Run a command as an operator does; returns what it prints."""
        done = commands.run(self.backend.environment, *arguments)
        assert done.returncode == 0, done.stderr or done.stdout
        return done.stdout

    def wait(self, what: str, condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
        """Wait until the condition is true, and return its value."""
        log = self.backend.settings.home / "worker.log"
        return until(what, condition, patience_s, 0.2, logs=lambda: tail(log))
