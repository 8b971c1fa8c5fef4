"""All that clickmask asks of a Label Studio, without a browser: `make test-versions` runs it with older ones, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import redis

from backend.jobs.reconcile_job import compare
from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import connect
from backend.label_studio.mask_regions import accepted
from backend.label_studio.task_states import TaskStates
from backend.operations.embedded_redis import EmbeddedRedis
from backend.operations.label_studio_server import LabelStudioServer
from backend.review.project_review import COLUMN, TAB
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Scheduler
from model.click import Click
from tests.e2e.conftest import ROOT, Backend
from tests.e2e.label_configs import separate_rows
from tests.e2e.photos import iou, jpeg, two_bodies

PATIENCE_S = 60.0


class Place:
    """A project of one photo in a real Label Studio, a backend that is connected, and its Redis."""

    def __init__(self, backend: Backend, redis_url: str) -> None:
        self.backend, self.client = backend, LabelStudio(backend.settings)
        self.redis = redis.Redis.from_url(redis_url)
        self.image, self.truth, _ = two_bodies()
        record = self.client.create_project(title="versions", label_config=separate_rows(("Cat", "Dog")))
        self.project = record["id"]
        files = [("file", ("photo.jpg", jpeg(self.image)))]
        self.client.call("POST", f"/api/projects/{self.project}/import", files=files)
        connect(self.client, self.project, backend.url, backend.settings)
        (task,) = self.client.tasks(self.project)
        self.task = task["id"]

    def click(self, *clicks: Click) -> list[dict[str, Any]]:
        """Click as the editor does: Label Studio passes it on to the backend. Returns the regions it answers."""
        height, width = self.truth.shape
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
        body = {"task": self.task, "context": {"result": prompts}}
        answer = self.client.call("POST", f"/api/ml/{row['id']}/interactive-annotating", json=body)
        return answer["data"]["result"]

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

    def wait(self, what: str, condition: Callable[[], Any]) -> Any:
        limit = time.monotonic() + PATIENCE_S
        while time.monotonic() < limit:
            value = condition()
            if value:
                return value
            time.sleep(0.2)
        raise AssertionError(f"{what} never came")


@pytest.fixture(scope="module")
def place(studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("versions")
    with EmbeddedRedis(home) as url:
        environment = {
            "CLICKMASK_HOME": str(home),
            "CLICKMASK_REDIS_URL": url,
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": studio.token,
        }
        backend = Backend(home, environment)
        backend.start()
        yield Place(backend, url)
        backend.stop()


def test_it_is_connected(place: Place):
    (row,) = place.client.ml_backends(place.project)
    assert (row["state"], row["is_interactive"]) == ("CO", True)
    assert len(place.client.webhooks(place.project)) == 1
    assert not place.client.project(place.project)["show_collab_predictions"]
    assert place.client.version().count(".") >= 2


def test_the_doctor_fails_at_nothing(place: Place):
    findings = json.loads(place.run("doctor", str(place.project), "--json"))
    assert [f for f in findings if f["level"] == "FAIL"] == []
    assert {"connection", "webhook", "image", "token"} <= {f["subject"] for f in findings}


def test_clicks_are_answered_with_masks(place: Place):
    y, x = (float(np.median(axis)) for axis in np.nonzero(place.truth))
    regions = place.click(Click(x, y))
    (region,) = accepted(regions)
    assert iou(region.mask(), place.truth) > 0.3
    corrected = accepted(place.click(Click(x, y), Click(5, 5, positive=False)))
    assert corrected and corrected[0].mask().shape == place.truth.shape


def test_an_accepted_mask_is_reported_ranked_and_compared(place: Place):
    y, x = (float(np.median(axis)) for axis in np.nonzero(place.truth))
    regions = place.click(Click(x, y))
    made = place.client.create_annotation(place.task, regions)["id"]
    ledger = Ledger(place.redis)
    place.wait("the webhook", lambda: made in ledger.annotations(place.project))
    assert ledger.annotations(place.project)[made]["task"] == place.task
    rows = json.loads(place.run("review", str(place.project), "--json", "--apply"))
    assert [row["annotation"] for row in rows] == [made]
    assert place.client.task(place.task)["data"][COLUMN] == rows[0]["iou"]
    assert TAB in [view["data"]["title"] for view in place.client.views(place.project)]
    # As if no webhook had ever come.
    place.redis.flushall()
    assert compare(place.project, place.client, place.redis) == (1, 0)
    assert TaskStates(place.redis, place.project).changes(place.client) == ({}, {place.task})
    place.client.call("DELETE", f"/api/annotations/{made}/")
    place.wait("the webhook", lambda: made not in ledger.annotations(place.project))
    assert place.run("fine-tune", str(place.project), "--sync")
    assert ledger.annotations(place.project) == {}


def test_the_button_that_starts_a_training_queues_a_job(place: Place):
    (row,) = place.client.ml_backends(place.project)
    place.client.call("POST", f"/api/ml/{row['id']}/train")
    scheduler = Scheduler(place.redis)
    job = place.wait("the job", lambda: scheduler.waiting(place.project))
    assert job.meta["why"] == "asked for in Label Studio"
    scheduler.cancel(job.id)
