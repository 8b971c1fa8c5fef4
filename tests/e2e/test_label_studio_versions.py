"""All that clickmask asks of a Label Studio, without a browser: `make test-versions` runs it with older ones, too."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from backend.jobs.reconcile_job import compare
from backend.label_studio.mask_regions import accepted
from backend.label_studio.task_states import TaskStates
from backend.operations.label_studio_server import LabelStudioServer
from backend.review.project_review import COLUMN, TAB
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Scheduler
from model.click import Click
from tests.e2e.conftest import backend_at
from tests.e2e.photos import iou, jpeg, two_bodies
from tests.e2e.place import Place
from tests.label_studio_calls import create_annotation

IMAGE, TRUTH, _ = two_bodies()


@pytest.fixture(scope="module")
def place(studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A project of one photo."""
    home = tmp_path_factory.mktemp("versions")
    with backend_at(home, studio.url, studio.token) as (backend, url):
        yield Place(backend, url, [jpeg(IMAGE)], TRUTH.shape)


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
    y, x = (float(np.median(axis)) for axis in np.nonzero(TRUTH))
    regions = place.click(Click(x, y))["result"]
    (region,) = accepted(regions)
    assert iou(region.mask(), TRUTH) > 0.3
    corrected = accepted(place.click(Click(x, y), Click(5, 5, positive=False))["result"])
    assert corrected and corrected[0].mask().shape == TRUTH.shape


def test_an_accepted_mask_is_reported_ranked_and_compared(place: Place):
    y, x = (float(np.median(axis)) for axis in np.nonzero(TRUTH))
    regions = place.click(Click(x, y))["result"]
    made = create_annotation(place.client, place.tasks[0], regions)["id"]
    ledger = Ledger(place.redis)
    place.wait("the webhook", lambda: made in ledger.annotations(place.project))
    assert ledger.annotations(place.project)[made]["task"] == place.tasks[0]
    rows = json.loads(place.run("review", str(place.project), "--json", "--apply"))
    assert [row["annotation"] for row in rows] == [made]
    assert place.client.task(place.tasks[0])["data"][COLUMN] == rows[0]["iou"]
    assert TAB in [view["data"]["title"] for view in place.client.views(place.project)]
    # As if no webhook had ever come.
    place.redis.flushall()
    assert compare(place.project, place.client, place.redis) == (1, 0)
    assert TaskStates(place.redis, place.project).changes(place.client) == ({}, {place.tasks[0]})
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
