"""Annotations of a real Label Studio that no webhook ever reported."""

from __future__ import annotations

from pathlib import Path

import redis

from backend.jobs.reconcile_job import compare_all
from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import label_config
from backend.operations.embedded_redis import EmbeddedRedis
from backend.operations.label_studio_server import LabelStudioServer
from backend.settings import Settings
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Scheduler

RESULT = [
    {
        "type": "rectanglelabels",
        "from_name": "rect",
        "to_name": "image",
        "original_width": 10,
        "original_height": 10,
        "value": {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["Cat"]},
    }
]


def test_every_change_is_found_and_begins_a_training(studio: LabelStudioServer, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, label_studio_url=studio.url, label_studio_api_key=studio.token, train_after=2
    )
    client = LabelStudio(settings)
    project = client.create_project(title="unheard of", label_config=label_config(("Cat",)))["id"]
    states = [client.state(project)]  # of a project without a task
    client.import_tasks(project, [{"image": f"https://example.com/{n}.png"} for n in range(2)])
    tasks = [task["id"] for task in client.tasks(project)]
    with EmbeddedRedis(tmp_path) as url:
        store = redis.Redis.from_url(url)
        ledger, scheduler = Ledger(store), Scheduler(store)
        ledger.meet(project)

        def compare() -> set[int]:
            compare_all(settings, store)
            states.append(client.state(project))
            return set(ledger.accepted(project, "submitted"))

        first = client.create_annotation(tasks[0], RESULT)["id"]
        assert compare() == {first}
        assert scheduler.jobs() == []
        second = client.create_annotation(tasks[1], RESULT)["id"]
        assert compare() == {first, second}
        (job,) = scheduler.jobs()
        assert job.meta["why"] == "2 new annotations"
        client.call("PATCH", f"/api/annotations/{second}/", json={"ground_truth": True})
        compare()
        assert set(ledger.accepted(project, "ground-truth")) == {second}
        client.call("DELETE", f"/api/annotations/{first}/")
        assert compare() == {second}
    assert len(set(states)) == len(states), "every change shows"
    assert client.state(project) == states[-1], "nothing else does"
