"""Real RQ workers run real jobs, are killed, cancelled and cut off from Redis and Label Studio."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from click.testing import CliRunner

from backend.cli import main
from backend.jobs import fine_tune_job
from backend.jobs.fine_tune_job import setup
from backend.operations.embedded_redis import EmbeddedRedis
from backend.settings import Settings
from fine_tune.project import keys
from fine_tune.project.ledger import Ledger
from fine_tune.project.lock import project_lock
from fine_tune.project.outcome import Outcome, outcomes
from fine_tune.project.phases import CHOOSE, JUDGE, PUBLISH, TRAIN
from model.versions.local_store import LocalStore
from model.versions.registry import Registry
from tests.backend.annotated_project import PROJECT
from tests.backend.http_server import Web, answers
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import backend_of, running
from tests.backend.worker_home import COUNT, PATIENCE_S, WorkerHome, kill
from tests.fine_tune.shape_project import base, retention_set
from tests.live_processes import alive
from tests.s3_server import ObjectStore
from tests.waiting import until

pytestmark = pytest.mark.timeout(3 * PATIENCE_S)


def test_a_job_makes_a_version_and_says_what_became_of_it(place: WorkerHome):
    job = place.scheduler.request(PROJECT, "test", force=True)
    place.work()
    done = place.end_of(job)
    result = done.return_value()
    assert result is not None and result["status"] == "promoted", done.latest_result()
    current = place.registry.current("project-3")
    assert current is not None and current.name == result["version"]
    assert outcomes(place.server.client(), PROJECT)[0].version == current.name
    assert Ledger(place.server.client()).fresh(PROJECT, "submitted") == set()
    assert place.scheduler.last_end(PROJECT) > time.time() - PATIENCE_S


def test_two_devices_train_for_the_object_store_that_all_read(
    place: WorkerHome, object_store: ObjectStore, tmp_path: Path
):
    base(Registry(tmp_path / "first", object_store.url))
    job = place.scheduler.request(PROJECT, "test", force=True)
    place.work(CLICKMASK_TRAIN_DEVICES="2", CLICKMASK_REGISTRY=object_store.url, **object_store.environment)
    result = place.end_of(job).return_value()
    assert result is not None and result["status"] == "promoted"
    current = Registry(tmp_path / "second", object_store.url).current("project-3")
    assert current is not None and current.name == result["version"]
    assert place.registry.versions("project-3") == []


def test_a_job_that_is_killed_in_every_phase_goes_on_where_it_was(place: WorkerHome):
    # So that no version is written before the kill.
    with LocalStore(place.home / "registry").lock("project-3"):
        for phase in (TRAIN, CHOOSE, JUDGE, PUBLISH):
            job = place.scheduler.request(PROJECT, "test", force=True)
            worker = place.work(CLICKMASK_TRAIN_STEPS="8")
            place.wait(phase, lambda job=job, phase=phase: place.meta(job).get("phase") == phase)
            kill(worker)
            assert place.registry.versions("project-3") == []
            assert len(Ledger(place.server.client()).fresh(PROJECT, "submitted")) == COUNT
            place.server.client().delete(keys.lock(PROJECT))  # which would run out by itself
    again = place.scheduler.request(PROJECT, "test", force=True)
    assert again.id != job.id
    place.work(CLICKMASK_TRAIN_STEPS="8")
    steps = set()

    def over() -> bool:
        steps.add(place.meta(again).get("step"))
        found = place.scheduler.job(again.id)
        return found is not None and found.get_status() in ("finished", "failed")

    place.wait(f"the end of {again.id}", over)
    result = place.end_of(again).return_value()
    assert result is not None and result["status"] == "promoted", place.end_of(again).latest_result()
    assert result["metrics"]["training"]["steps"] == 8
    assert steps == {None}, "it does not train again"
    current = place.registry.current("project-3")
    assert current is not None and current.name == result["version"]
    assert [version.name for version in place.registry.versions("project-3")] == [current.name]
    assert not (place.home / "jobs" / "project-3").exists()


def test_a_job_waits_for_its_turn_and_says_so(place: WorkerHome, project: Web):
    project.routes["/api/projects/3/export"] = answers(200, b"[]")
    job = place.scheduler.request(PROJECT, "test")
    with project_lock(place.server.client(), PROJECT):
        place.work()
        place.tried_again(job)
        assert "by another worker" in place.meta(job)["problem"]
    place.hurry(job)
    result = place.end_of(job).return_value()
    assert result is not None and result["status"] == "skipped"
    assert [each.id for each in place.scheduler.jobs()] == [job.id]


@pytest.mark.parametrize("devices", ["1", "2"])
def test_a_running_job_is_cancelled(place: WorkerHome, devices: str):
    job = place.scheduler.request(PROJECT, "test")
    worker = place.work(CLICKMASK_TRAIN_STEPS="500", CLICKMASK_TRAIN_DEVICES=devices)
    meta = place.training(job)
    family = psutil.Process(worker.pid).children(recursive=True)
    ranks = [process for process in family if "spawn_main" in " ".join(process.cmdline())]
    assert len(ranks) == (0 if devices == "1" else 2)
    assert {"share", "loss", "eta_s"} <= meta.keys()
    assert place.scheduler.cancel(job.id) == "cancelling"
    result = place.end_of(job).return_value()
    assert result is not None and result["status"] == "cancelled"
    until("their end", lambda: not alive(ranks))
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
    place = WorkerHome(home, server, project)
    try:
        job = place.scheduler.request(PROJECT, "test", force=True)
        place.work(CLICKMASK_TRAIN_STEPS="12")
        place.training(job)
        server.stop()
        server.start()
        place.wait("the new version", lambda: place.registry.current("project-3"))
        found = place.end_of(job)
        again = place.scheduler.request(PROJECT, "test")
        assert again.id != found.id
        assert place.end_of(again).return_value() is not None
    finally:
        place.close()
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_a_label_studio_that_is_down_is_asked_again(place: WorkerHome, project: Web):
    export = project.routes["/api/projects/3/export"]
    project.routes["/api/projects/3/export"] = answers(502, b"bad gateway")
    job = place.scheduler.request(PROJECT, "test", force=True)
    place.work()
    place.tried_again(job)
    failures = f"clickmask:fine-tune:{PROJECT}:failures"
    assert place.server.client().get(failures) == b"1"
    project.routes["/api/projects/3/export"] = export
    place.hurry(job)
    result = place.end_of(job).return_value()
    assert result is not None and result["status"] == "promoted"
    assert place.server.client().get(failures) is None


def test_a_label_studio_that_goes_down_between_two_images_costs_nothing(place: WorkerHome, project: Web):
    image = "/data/upload/3/6.png"
    there = dict(project.routes)
    project.routes[image] = lambda _: project.close()
    job = place.scheduler.request(PROJECT, "test", force=True)
    place.work()
    place.tried_again(job)
    assert "cannot be reached" in place.meta(job)["problem"]
    assert f"GET {image}" in [f"{method} {path}" for method, path, _ in project.requests]
    assert place.registry.versions("project-3") == []
    assert len(Ledger(place.server.client()).fresh(PROJECT, "submitted")) == COUNT
    back = Web(port=project.port)
    back.routes.update(there)
    place.hurry(job)
    try:
        result = place.end_of(job).return_value()
        assert result is not None and result["status"] == "promoted"
        assert result["counts"]["train_images"] + result["counts"]["held_out_images"] == COUNT
        again = place.end_of(place.scheduler.request(PROJECT, "test")).return_value()
        assert again is not None and again["status"] == "skipped"
    finally:
        back.close()


def test_whatever_asks_while_a_job_runs_makes_one_follow_up(
    place: WorkerHome, project: Web, monkeypatch: pytest.MonkeyPatch
):
    gate = threading.Event()
    # Nothing to train on: this is about who runs, not about what is learned.
    nothing = answers(200, b"[]")
    project.routes["/api/projects/3/export"] = lambda handler: (gate.wait(PATIENCE_S), nothing(handler))[1]
    first = place.scheduler.request(PROJECT, "test")
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
        backend_of(app).webhooks.flush()
        assert [job.id for job in place.scheduler.jobs()] == [first.id], "it may be learning them already"
        for _ in range(2):
            body = {"action": "START_TRAINING", "project": {"id": PROJECT}}
            assert client.post("/webhook", json=body).status_code == 202
            assert client.post("/train", json={"project": str(PROJECT)}).status_code == 202
        backend_of(app).webhooks.flush()
    asked = CliRunner().invoke(main, ["fine-tune", str(PROJECT)])
    assert asked.exit_code == 0, asked.output
    follow = place.scheduler.waiting(PROJECT)
    assert follow is not None and follow.id in asked.output
    assert {job.id for job in place.scheduler.jobs()} == {first.id, follow.id}
    gate.set()
    place.end_of(follow)
    statuses = [outcome.status for outcome in outcomes(place.server.client(), PROJECT)]
    assert statuses == ["skipped", "skipped"], (
        "the first has none of them at hand, for the second they are gone"
    )
    assert {job.id for job in place.scheduler.jobs()} == {first.id, follow.id}


def test_an_outcome_that_a_killed_job_had_come_to_took_no_time(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = Outcome("promoted", "better", "project-3-1-0a1b2c3d", at=time.time() - 60)
    monkeypatch.setattr(fine_tune_job, "setup", lambda settings: None)
    monkeypatch.setattr(fine_tune_job, "FineTuningJob", lambda *_: SimpleNamespace(run=lambda: made))
    fine_tune_job.learn(3, Settings(home=tmp_path), redis_server.client(), lambda *_: None)
    assert [outcome.seconds for outcome in outcomes(redis_server.client(), 3)] == [0.0]


def test_objects_of_a_general_set_that_has_changed_are_others(tmp_path: Path):
    folder = retention_set(tmp_path / "general")

    def names() -> list[str]:
        return [sample.id for sample in setup(Settings(home=tmp_path, general_set=folder)).retention_set]

    before = names()
    assert names() == before
    file = next(file for file in sorted(Path(folder).rglob("*.*")) if file.is_file())
    file.touch()
    assert not set(names()) & set(before)


@pytest.mark.parametrize(
    ("device", "gpus", "accelerator"),
    [
        ("cpu", 1, "cpu"),
        ("openvino", 1, "cpu"),
        ("cuda", 2, "auto"),
        ("auto", 2, "auto"),
        ("auto", 0, "auto"),
    ],
)
def test_training_runs_where_the_setting_says(
    device: str,
    gpus: int,
    accelerator: str,
    tmp_path: Path,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    settings = Settings(
        home=tmp_path, device=device, general_set=retention_set(tmp_path / "general"), train_devices=2
    )
    effort = setup(settings).effort
    assert (effort.accelerator, effort.devices) == (accelerator, 2)
    if gpus == 2:
        with pytest.raises(ValueError, match="CLICKMASK_TRAIN_DEVICES is 3, and this worker sees 2 GPUs"):
            setup(dataclasses.replace(settings, train_devices=3))
