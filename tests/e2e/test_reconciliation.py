"""Annotations of a real Label Studio: found though no webhook reported them, and the webhooks of many at once."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import redis

from backend.jobs.reconcile_job import compare_all
from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import label_config
from backend.label_studio.task_states import TaskStates
from backend.operations.embedded_redis import EmbeddedRedis
from backend.operations.label_studio_server import LabelStudioServer
from backend.settings import Settings
from fine_tune.project.ledger import Ledger
from fine_tune.project.scheduler import Scheduler
from tests.backend.http_server import Web, body_of, send
from tests.backend.redis_server import RedisServer
from tests.label_studio_calls import create_annotation, import_tasks
from tests.waiting import until

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
    import_tasks(client, project, [{"image": f"https://example.com/{n}.png"} for n in range(2)])
    tasks = [task["id"] for task in client.tasks(project)]
    with EmbeddedRedis(tmp_path) as url:
        store = redis.Redis.from_url(url)
        ledger, scheduler = Ledger(store), Scheduler(store)
        ledger.meet(project)

        def compare() -> set[int]:
            compare_all(settings, store)
            states.append(client.state(project))
            return set(ledger.accepted(project, "submitted"))

        first = create_annotation(client, tasks[0], RESULT)["id"]
        assert compare() == {first}
        assert scheduler.jobs() == []
        second = create_annotation(client, tasks[1], RESULT)["id"]
        assert compare() == {first, second}
        (job,) = scheduler.jobs()
        assert job.meta["why"] == "2 new annotations"
        client.call("PATCH", f"/api/annotations/{second}/", json={"ground_truth": True})
        compare()
        assert set(ledger.accepted(project, "ground-truth")) == {second}
        client.call("DELETE", f"/api/annotations/{first}/")
        assert compare() == {second}
        third = create_annotation(client, tasks[0], RESULT)["id"]
        assert compare() == {second, third}
        client.call("DELETE", f"/api/tasks/{tasks[0]}/")
        assert compare() == {second}, "annotations go with their task"
        known = TaskStates(store, project)
        before = client.task(tasks[1])
        known.follow(before, client.update_task(tasks[1], {**before["data"], "quality_iou": 0.5}))
        assert known.changes(client) == ({}, {tasks[1]}), "a number of our own is no change"
        compare()
        client.call("DELETE", f"/api/projects/{project}/")
        compare_all(settings, store)
        assert ledger.projects() == []
    assert len(set(states)) == len(states), "every change shows"


def test_events_of_many_annotations_and_of_tasks(
    studio: LabelStudioServer, tmp_path: Path, redis_server: RedisServer
) -> None:
    web, bodies = Web(), list[dict[str, Any]]()

    def take(handler: BaseHTTPRequestHandler) -> None:
        bodies.append(body_of(handler))
        send(handler, 202, b"{}")

    web.routes["/webhook"] = take
    settings = Settings(home=tmp_path, label_studio_url=studio.url, label_studio_api_key=studio.token)
    client, ledger = LabelStudio(settings), Ledger(redis_server.client())
    project = client.create_project(title="events", label_config=label_config(("Cat",)))["id"]
    import_tasks(client, project, [{"image": f"https://example.com/{n}.png"} for n in range(3)])
    tasks = sorted(task["id"] for task in client.tasks(project))
    for task in tasks:
        client.call("POST", "/api/predictions/", json={"task": task, "result": RESULT, "model_version": "m"})
    client.create_webhook(
        project=project, url=f"{web.url}/webhook", send_payload=True, send_for_all_actions=True
    )

    def act(name: str, event: str, *chosen: int) -> None:
        body = {"selectedItems": {"all": False, "included": list(chosen)}}
        client.call("POST", f"/api/dm/actions?id={name}&project={project}", json=body)
        # Label Studio waits a second for its events to be taken.
        until(event, lambda: event in [body["action"] for body in bodies])
        for each in bodies:
            ledger.record(each["action"], each)

    try:
        act("predictions_to_annotations", "ANNOTATIONS_CREATED", *tasks)
        made = {record["task"]: record["empty"] for record in ledger.annotations(project).values()}
        assert made == dict.fromkeys(tasks, False)
        act("delete_tasks", "TASKS_DELETED", tasks[0], tasks[1])
        assert [record["task"] for record in ledger.annotations(project).values()] == [tasks[2]]
        act("delete_tasks_annotations", "ANNOTATIONS_DELETED", tasks[2])
        assert ledger.annotations(project) == {}
    finally:
        web.close()
