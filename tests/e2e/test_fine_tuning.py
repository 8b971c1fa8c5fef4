"""The loop in the real Label Studio: annotations fire the webhook, a worker learns, a new model answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import connect
from backend.label_studio.mask_formats import rle
from backend.operations.embedded_redis import EmbeddedRedis
from backend.operations.label_studio_server import LabelStudioServer
from backend.operations.supervisor import end, spawn, tail
from fine_tune.project.outcome import Outcome, outcomes
from model.versions.registry import Registry
from tests.backend.running_app import png
from tests.e2e.conftest import ROOT, Backend
from tests.e2e.label_configs import separate_rows
from tests.fine_tune.shape_project import base, retention_set
from tests.fine_tune.shape_scenes import shape_scene

IMAGES = 8
LIMIT_S = 600.0


@pytest.fixture(scope="module")
def place(
    studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Backend, redis.Redis]]:
    """A backend and a worker with a small untrained model, which a few steps improve."""
    home = tmp_path_factory.mktemp("learning")
    base(Registry(home))
    with EmbeddedRedis(home) as url:
        environment = {
            "CLICKMASK_HOME": str(home),
            "CLICKMASK_REDIS_URL": url,
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": studio.token,
            "CLICKMASK_DEVICE": "cpu",
            "CLICKMASK_GENERAL_SET": str(retention_set(home / "general")),
            "CLICKMASK_TRAIN_AFTER": str(IMAGES),
            "CLICKMASK_TRAIN_STEPS": "4",
            "CLICKMASK_TRAIN_MINUTES": "20",
        }
        backend = Backend(home, environment)
        backend.start()
        command = [sys.executable, "-m", "backend.cli", "worker"]
        worker = spawn(command, {**backend.environment, "PYTHONPATH": str(ROOT)}, home / "worker.log")
        yield backend, redis.Redis.from_url(url)
        end(worker, patience_s=5)
        backend.stop()


def wait(what: str, log: Path, condition: Callable[[], Any]) -> Any:
    """The condition's value as soon as there is one."""
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        value = condition()
        if value:
            return value
        time.sleep(0.5)
    raise AssertionError(f"{what} never came:\n{tail(log)}")


def annotate(client: LabelStudio, task: int, mask: np.ndarray) -> None:
    """Save a mask, as an annotator would."""
    region = {
        "id": f"region{task}",
        "type": "brushlabels",
        "from_name": "brush",
        "to_name": "image",
        "original_width": mask.shape[1],
        "original_height": mask.shape[0],
        "value": {"format": "rle", "rle": list(rle.encode(mask)), "brushlabels": ["Cat"]},
    }
    client.create_annotation(task, [region])


def click(client: LabelStudio, project: int, task: int, size: int) -> str:
    """Click into the middle of a task's image; returns the version that answered."""
    (connected,) = client.ml_backends(project)
    keypoint = {
        "id": "point",
        "type": "keypointlabels",
        "from_name": "kp",
        "to_name": "image",
        "original_width": size,
        "original_height": size,
        "image_rotation": 0,
        "is_positive": True,
        "value": {"x": 30, "y": 50, "width": 0.3, "keypointlabels": ["Cat"]},
    }
    body = {"task": task, "context": {"result": [keypoint]}}
    answer = client.call("POST", f"/api/ml/{connected['id']}/interactive-annotating", json=body)
    return str(answer["data"]["model_version"])


@pytest.mark.timeout(1800)
def test_annotations_become_a_served_model(place: tuple[Backend, redis.Redis]) -> None:
    backend, store = place
    client, registry = LabelStudio(backend.settings), Registry(backend.settings.home)
    scenes = [shape_scene(np.random.default_rng(seed)) for seed in range(IMAGES)]
    project = client.create_project(title="learning", label_config=separate_rows(("Cat",)))["id"]
    for scene in scenes:
        files = [("file", ("shape.png", png(scene.image)))]
        client.call("POST", f"/api/projects/{project}/import", files=files)
    connect(client, project, backend.url, backend.settings)
    tasks = sorted(task["id"] for task in client.tasks(project))
    assert click(client, project, tasks[0], 96).startswith("base-1-")
    for task, scene in zip(tasks, scenes, strict=True):
        annotate(client, task, scene.truth)

    log = backend.settings.home / "worker.log"
    (first,) = wait("the job of the webhooks", log, lambda: outcomes(store, project))
    assert first.status in ("promoted", "kept back", "refused"), first
    assert first.counts["train_images"] + first.counts["held_out_images"] == IMAGES, first
    assert first.reason

    last = forced(backend, project, lambda: outcomes(store, project), log)
    assert last.status == "promoted", last
    current = registry.current(f"project-{project}")
    assert current is not None and current.name == last.version
    wait("the new version's answer", log, lambda: click(client, project, tasks[0], 96) == last.version)


def forced(backend: Backend, project: int, known: Callable[[], list[Outcome]], log: Path) -> Outcome:
    """Say on the command line that the model is to be served; returns what became of it."""
    before = len(known())
    command = [sys.executable, "-m", "backend.cli", "fine-tune", str(project), "--force"]
    environment = {**os.environ, **backend.environment, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, check=True, cwd=ROOT)
    return wait("the forced job", log, lambda: len(known()) > before and known()[0])
