"""Real RQ workers run real jobs, are killed, cancelled and cut off from Redis and Label Studio."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from rq.job import Job

from backend.cli import main
from backend.embedded import EmbeddedRedis
from backend.settings import Settings
from backend.worker_job import setup
from fine_tune.ledger import Ledger
from fine_tune.outcome import outcomes
from fine_tune.trigger import Trigger
from fine_tune.turn import turn
from model.registry import Registry
from tests.backend.annotated_project import PROJECT, annotated
from tests.backend.redis_server import RedisServer
from tests.backend.web import Web, answers
from tests.backend.world import backend_of, running
from tests.fine_tune.projects import base, general_set

ROOT = Path(__file__).parents[2]
COUNT = 8
PATIENCE_S = 600.0  # on a busy machine everything takes long
pytestmark = pytest.mark.timeout(3 * PATIENCE_S)


@pytest.fixture
def project() -> Iterator[Web]:
    web = annotated(COUNT)
    yield web
    web.close()


class Place:
    """A home with a base model, and workers on it."""

    def __init__(self, home: Path, server: RedisServer, web: Web) -> None:
        self.home, self.registry, self.server = home, Registry(home), server
        base(self.registry)
        self.trigger = Trigger(server.client())
        self.environment = {
            "CLICKMASK_HOME": str(home),
            "CLICKMASK_REDIS_URL": server.url,
            "LABEL_STUDIO_URL": web.url,
            "CLICKMASK_GENERAL_SET": str(general_set(home / "general")),
            "CLICKMASK_TRAIN_STEPS": "2",
            "CLICKMASK_TRAIN_MINUTES": "20",
            "CLICKMASK_DEVICE": "cpu",
            "CLICKMASK_THREADS": "1",
        }
        self.workers: list[subprocess.Popen[bytes]] = []

    def work(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        environment = {**os.environ, **self.environment, **changes, "PYTHONPATH": str(ROOT)}
        with (self.home / "worker.log").open("ab") as log:
            command = [sys.executable, "-m", "backend.cli", "worker"]
            worker = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def wait(self, what: str, condition: Callable[[], Any]) -> Any:
        """Wait until the condition is true, and return its value."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"{what} never came:\n{(self.home / 'worker.log').read_text()[-3000:]}")

    def meta(self, job: Job) -> dict[str, Any]:
        found = self.trigger.job(job.id)
        return {} if found is None else found.meta

    def end_of(self, job: Job) -> Job:
        def over() -> Job | None:
            found = self.trigger.job(job.id)
            return found if found is not None and found.get_status() in ("finished", "failed") else None

        return self.wait(f"the end of {job.id}", over)

    def training(self, job: Job) -> dict[str, Any]:
        """Wait until the job is in the middle of training."""
        return self.wait(
            "training", lambda: (m := self.meta(job)).get("phase") == "training" and m.get("step") and m
        )

    def close(self) -> None:
        for worker in self.workers:
            kill(worker)


def kill(worker: subprocess.Popen[bytes]) -> None:
    """kill -9, the worker and whatever it started."""
    try:
        family = psutil.Process(worker.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    for process in (*family, worker):
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    worker.wait()


@pytest.fixture
def place(tmp_path: Path, redis_server: RedisServer, project: Web) -> Iterator[Place]:
    found = Place(tmp_path, redis_server, project)
    yield found
    found.close()


def test_a_job_makes_a_version_and_says_what_became_of_it(place: Place):
    job = place.trigger.request(PROJECT, "test", force=True)
    place.work()
    done = place.end_of(job)
    result = done.return_value()
    assert result is not None and result["status"] == "promoted", done.latest_result()
    current = place.registry.current("project-3")
    assert current is not None and current.name == result["version"]
    assert outcomes(place.server.client(), PROJECT)[0].version == current.name
    assert Ledger(place.server.client()).fresh(PROJECT, "submitted") == set()
    assert place.trigger.last_end(PROJECT) > time.time() - PATIENCE_S


def test_a_killed_worker_does_not_stand_in_the_way(place: Place):
    job = place.trigger.request(PROJECT, "test")
    worker = place.work(CLICKMASK_TRAIN_STEPS="500")
    place.training(job)
    kill(worker)
    assert place.registry.versions("project-3") == []
    assert len(Ledger(place.server.client()).fresh(PROJECT, "submitted")) == COUNT
    again = place.trigger.request(PROJECT, "test", force=True)
    assert again.id != job.id
    place.work()
    result = place.end_of(again).return_value()  # the dead one's turn runs out by itself
    assert result is not None and result["status"] == "promoted"


def test_two_workers_share_a_project_without_training_it_twice(place: Place):
    first = place.trigger.request(PROJECT, "first")
    place.work(CLICKMASK_TRAIN_STEPS="6")
    place.training(first)
    follow, same = (place.trigger.request(PROJECT, why) for why in ("second", "third"))
    assert follow.id != first.id
    assert same.id == follow.id, "triggers during a job make one follow-up"
    place.work()
    place.end_of(first)
    place.wait("the follow-up", lambda: len(outcomes(place.server.client(), PROJECT)) == 2)
    statuses = [outcome.status for outcome in outcomes(place.server.client(), PROJECT)]
    assert statuses[0] == "skipped", "nothing new was left for it"
    assert {job.id for job in place.trigger.jobs()} == {first.id, follow.id}
    assert len(place.registry.versions("project-3")) == 1


def test_a_job_waits_for_its_turn_and_says_so(place: Place, project: Web):
    project.routes["/api/projects/3/export"] = answers(200, b"[]")
    job = place.trigger.request(PROJECT, "test")
    with turn(place.server.client(), PROJECT):
        place.work()
        place.wait("a refusal", lambda: (j := place.trigger.job(job.id)) and j.get_status() == "scheduled")
        assert "by another worker" in place.meta(job)["problem"]
    result = place.end_of(job).return_value()
    assert result is not None and result["status"] == "skipped"
    assert [each.id for each in place.trigger.jobs()] == [job.id]


def test_a_running_job_is_cancelled(place: Place):
    job = place.trigger.request(PROJECT, "test")
    place.work(CLICKMASK_TRAIN_STEPS="500")
    meta = place.training(job)
    assert {"share", "loss", "eta_s"} <= meta.keys()
    assert place.trigger.cancel(job.id) == "cancelling"
    result = place.end_of(job).return_value()
    assert result is not None and result["status"] == "cancelled"
    assert place.registry.current("project-3") is None


class Durable(RedisServer):
    """The embedded Redis, which keeps what it holds over a restart."""

    def __init__(self, home: Path) -> None:
        self._embedded = EmbeddedRedis(home)
        self.url = self._embedded.url

    def start(self) -> None:
        self._embedded.start()

    def stop(self) -> None:
        self._embedded.stop()


def test_a_redis_that_restarts_costs_nothing(project: Web):
    home = Path(tempfile.mkdtemp(prefix="cm"))
    server = Durable(home)
    server.start()
    place = Place(home, server, project)
    try:
        job = place.trigger.request(PROJECT, "test", force=True)
        place.work(CLICKMASK_TRAIN_STEPS="12")
        place.training(job)
        server.stop()
        server.start()
        place.wait("the new version", lambda: place.registry.current("project-3"))
        found = place.end_of(job)
        again = place.trigger.request(PROJECT, "test")
        assert again.id != found.id
        assert place.end_of(again).return_value() is not None
    finally:
        place.close()
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_a_label_studio_that_is_down_is_asked_again(place: Place, project: Web):
    export = project.routes["/api/projects/3/export"]
    project.routes["/api/projects/3/export"] = answers(502, b"bad gateway")
    job = place.trigger.request(PROJECT, "test", force=True)
    place.work()
    place.wait("a retry", lambda: (j := place.trigger.job(job.id)) and j.get_status() == "scheduled")
    project.routes["/api/projects/3/export"] = export
    result = place.end_of(job).return_value()
    assert result is not None and result["status"] == "promoted"


def test_a_label_studio_that_goes_down_between_two_images_costs_nothing(place: Place, project: Web):
    image = "/data/upload/3/6.png"
    there = dict(project.routes)
    project.routes[image] = lambda _: project.close()
    job = place.trigger.request(PROJECT, "test", force=True)
    place.work()
    place.wait("a retry", lambda: (j := place.trigger.job(job.id)) and j.get_status() == "scheduled")
    assert "cannot be reached" in place.meta(job)["problem"]
    assert f"GET {image}" in [f"{method} {path}" for method, path, _ in project.requests]
    assert place.registry.versions("project-3") == []
    assert len(Ledger(place.server.client()).fresh(PROJECT, "submitted")) == COUNT
    back = Web(port=project.port)
    back.routes.update(there)
    try:
        result = place.end_of(job).return_value()
        assert result is not None and result["status"] == "promoted"
        assert result["counts"]["train_images"] + result["counts"]["held_out_images"] == COUNT
        again = place.end_of(place.trigger.request(PROJECT, "test")).return_value()
        assert again is not None and again["status"] == "skipped"
    finally:
        back.close()


def test_an_idle_worker_finds_what_the_webhooks_missed(place: Place, project: Web):
    Ledger(place.server.client()).meet(PROJECT)
    place.work(CLICKMASK_TRAIN_AFTER=str(COUNT))
    (job,) = place.wait("a job", place.trigger.jobs)
    assert job.meta["why"] == f"{COUNT} new annotations"


def test_whatever_asks_while_a_job_runs_makes_one_follow_up(
    place: Place, project: Web, monkeypatch: pytest.MonkeyPatch
):
    gate = threading.Event()
    # Nothing to train on: this is about who runs, not about what is learned.
    nothing = answers(200, b"[]")
    project.routes["/api/projects/3/export"] = lambda handler: (gate.wait(PATIENCE_S), nothing(handler))[1]
    first = place.trigger.request(PROJECT, "test")
    place.work()
    place.wait("the first job", lambda: any("export" in path for path in project.paths()))
    eager = {"CLICKMASK_TRAIN_AFTER": "1", "CLICKMASK_TRAIN_PAUSE_S": "0"}
    for name, value in {**place.environment, **eager}.items():
        monkeypatch.setenv(name, value)
    with running(Settings.from_env(), wait=False) as app:
        client = app.test_client()
        for number in (1, 2, 3):
            annotation = {"id": number, "task": number, "updated_at": "2026-02-01", "result_count": 1}
            body = {"action": "ANNOTATION_UPDATED", "annotation": annotation, "project": {"id": PROJECT}}
            assert client.post("/webhook", json=body).status_code == 202
        backend_of(app).events.flush()
        assert [job.id for job in place.trigger.jobs()] == [first.id], "it may be learning them already"
        for _ in range(2):
            body = {"action": "START_TRAINING", "project": {"id": PROJECT}}
            assert client.post("/webhook", json=body).status_code == 202
            assert client.post("/train", json={"project": str(PROJECT)}).status_code == 202
        backend_of(app).events.flush()
    asked = CliRunner().invoke(main, ["fine-tune", str(PROJECT)])
    assert asked.exit_code == 0, asked.output
    follow = place.trigger.waiting(PROJECT)
    assert follow is not None and follow.id in asked.output
    assert {job.id for job in place.trigger.jobs()} == {first.id, follow.id}
    gate.set()
    place.end_of(follow)
    statuses = [outcome.status for outcome in outcomes(place.server.client(), PROJECT)]
    assert statuses == ["skipped", "skipped"], (
        "the first has none of them at hand, for the second they are gone"
    )
    assert {job.id for job in place.trigger.jobs()} == {first.id, follow.id}


@pytest.mark.parametrize(
    ("device", "accelerator"), [("cpu", "cpu"), ("openvino", "cpu"), ("cuda", "auto"), ("auto", "auto")]
)
def test_training_runs_where_the_setting_says(
    device: str, accelerator: str, tmp_path: Path, redis_server: RedisServer
):
    settings = Settings(home=tmp_path, device=device, general_set=str(general_set(tmp_path / "general")))
    assert setup(settings, redis_server.client()).effort.accelerator == accelerator
