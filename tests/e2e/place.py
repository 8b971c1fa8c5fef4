"""A project in a real Label Studio without a browser: a backend of its own, clicks and annotations over the API."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import redis

from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import connect
from backend.label_studio.mask_formats import rle
from backend.operations.embedded_redis import EmbeddedRedis
from backend.operations.supervisor import tail
from model.click import Click
from tests.e2e.conftest import ROOT, Backend
from tests.e2e.label_configs import separate_rows
from tests.label_studio_calls import create_annotation
from tests.waiting import until


@contextmanager
def backend_at(home: Path, studio_url: str, token: str, **environment: str) -> Iterator[tuple[Backend, str]]:
    """Run a backend with a Redis of its own while the context lasts; yields it and the address of Redis."""
    with EmbeddedRedis(home) as redis_url:
        own = {
            "CLICKMASK_HOME": str(home),
            "CLICKMASK_REDIS_URL": redis_url,
            "LABEL_STUDIO_URL": studio_url,
            "LABEL_STUDIO_API_KEY": token,
        }
        backend = Backend(home, {**own, **environment})
        backend.start()
        try:
            yield backend, redis_url
        finally:
            backend.stop()


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
            files = [("file", ("photo.png", photo))]
            self.client.call("POST", f"/api/projects/{self.project}/import", files=files)
        connect(self.client, self.project, backend.url, backend.settings)
        self.tasks = sorted(task["id"] for task in self.client.tasks(self.project))

    def click(self, *clicks: Click) -> dict[str, Any]:
        """Click on the first task as the editor does: Label Studio passes it on to the backend.

        Returns:
            What the editor gets, with `result` and `model_version`.
        """
        height, width = self.shape
        (row,) = self.client.ml_backends(self.project)
        prompts = [
            {
                "id": uuid.uuid4().hex[:10],
                "type": "keypointlabels",
                "from_name": "kp",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "is_positive": click.positive,
                "value": {
                    "x": 100 * click.x / width,
                    "y": 100 * click.y / height,
                    "width": 0.2,
                    "labels": ["Cat"],
                    "keypointlabels": ["Cat"],
                },
            }
            for click in clicks
        ]
        body = {"task": self.tasks[0], "context": {"result": prompts}}
        return self.client.call("POST", f"/api/ml/{row['id']}/interactive-annotating", json=body)["data"]

    def annotate(self, task: int, mask: np.ndarray) -> None:
        """Save a mask (HxW bool), as an annotator would."""
        region = {
            "id": f"region{task}",
            "type": "brushlabels",
            "from_name": "brush",
            "to_name": "image",
            "original_width": mask.shape[1],
            "original_height": mask.shape[0],
            "value": {"format": "rle", "rle": list(rle.encode(mask)), "brushlabels": ["Cat"]},
        }
        create_annotation(self.client, task, [region])

    def run(self, *arguments: str) -> str:
        """Run a command as an operator does."""
        done = subprocess.run(
            [sys.executable, "-m", "backend.cli", *arguments],
            env={**os.environ, **self.backend.environment, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr or done.stdout
        return done.stdout

    def wait(self, what: str, condition: Callable[[], Any], patience_s: float = 60.0) -> Any:
        """Wait until the condition is true, and return its value."""
        log = self.backend.settings.home / "worker.log"
        return until(what, condition, patience_s, 0.2, logs=lambda: tail(log))
