"""The loop in the real Label Studio: annotations fire the webhook, a worker learns, a new model answers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from backend.operations.label_studio_server import LabelStudioServer
from backend.operations.supervisor import end
from fine_tune.project.outcome import outcomes
from model.click import Click
from model.versions.registry import Registry
from tests import commands
from tests.backend.running_app import png
from tests.e2e.conftest import backend_at
from tests.e2e.place import Place
from tests.fine_tune.shape_project import base, retention_set
from tests.fine_tune.shape_scenes import shape_scene

IMAGES = 8
LIMIT_S = 600.0
SCENES = [shape_scene(np.random.default_rng(seed)) for seed in range(IMAGES)]
MIDDLE = Click(29, 48)  # of an object


@pytest.fixture(scope="module")
def place(studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Shapes to learn from, a worker, and a small untrained model, which a few steps improve."""
    home = tmp_path_factory.mktemp("learning")
    base(Registry(home))
    learning = {
        "CLICKMASK_DEVICE": "cpu",
        "CLICKMASK_GENERAL_SET": str(retention_set(home / "general")),
        "CLICKMASK_TRAIN_AFTER": str(IMAGES),
        "CLICKMASK_TRAIN_STEPS": "4",
        "CLICKMASK_TRAIN_MINUTES": "20",
    }
    with backend_at(home, studio.url, studio.token, **learning) as (backend, url):
        worker = commands.start(backend.environment, home / "worker.log", "worker")
        yield Place(backend, url, [png(scene.image) for scene in SCENES], SCENES[0].truth.shape)
        end(worker, patience_s=5)


@pytest.mark.timeout(1800)
def test_annotations_become_a_served_model(place: Place) -> None:
    assert place.click(MIDDLE)["model_version"].startswith("base-1-")
    for task, scene in zip(place.tasks, SCENES, strict=True):
        place.annotate(task, scene.truth)

    (first,) = place.wait("the job of the webhooks", lambda: outcomes(place.redis, place.project), LIMIT_S)
    assert first.status in ("promoted", "kept back", "refused"), first
    assert first.counts["train_images"] + first.counts["held_out_images"] == IMAGES, first
    assert first.reason

    place.run("fine-tune", str(place.project), "--force")
    last = place.wait(
        "the forced job", lambda: (o := outcomes(place.redis, place.project)) and len(o) > 1 and o[0], LIMIT_S
    )
    assert last.status == "promoted", last
    current = Registry(place.backend.settings.home).current(f"project-{place.project}")
    assert current is not None and current.name == last.version
    place.wait(
        "the new version's answer", lambda: place.click(MIDDLE)["model_version"] == last.version, LIMIT_S
    )
