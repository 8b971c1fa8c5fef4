"""Proposals in the real Label Studio: a job learns them, Batch predictions shows them, an annotator mends them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import TITLE, connect, label_config
from backend.label_studio.mask_regions import accepted
from backend.operations.label_studio_server import LabelStudioServer
from backend.redis_store import OptionalRedis
from backend.review.click_log import ClickLog
from fine_tune.data.project_samples import is_held_out
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import outcomes
from fine_tune.proposals.training import CompleteImage
from model.versions.checkpoint import read_card
from model.versions.registry import Registry
from tests import commands
from tests.backend.drawn_regions import brush
from tests.backend.running_app import png
from tests.e2e.conftest import Backend, backend_at
from tests.e2e.editor import Editor
from tests.e2e.photos import iou
from tests.fine_tune.proposals.drawn import discs
from tests.label_studio_calls import create_annotation, import_photo
from tests.waiting import until

HELD_OUT, TRAINED_ON = 5, 8


class Disks:
    """A project of drawn discs, its backend, and what a command line on this machine sees."""

    def __init__(self, backend: Backend, redis_url: str) -> None:
        self.backend, self.redis_url = backend, redis_url
        self.client, self.home = LabelStudio(backend.settings), backend.settings.home
        self.project = self.client.create_project(title="discs", label_config=label_config(("Disc",)))["id"]
        connect(self.client, self.project, backend.url, backend.settings)

    def add(self, scene: CompleteImage) -> int:
        """Add a task; returns its number."""
        before = {task["id"] for task in self.client.tasks(self.project)}
        import_photo(self.client, self.project, png(scene.image))
        (task,) = {task["id"] for task in self.client.tasks(self.project)} - before
        return task

    def annotate(self, task: int, scene: CompleteImage) -> None:
        """Save all masks of a scene, as an annotator would."""
        regions = [brush(f"region-{task}-{place}", mask, "Disc") for place, mask in enumerate(scene.masks)]
        create_annotation(self.client, task, regions)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of clickmask."""
        return commands.run(self.backend.environment, *arguments)

    def batch_predictions(self, tasks: list[int]) -> None:
        """Press Batch predictions for some tasks, again while the model is not loaded, for which 20 s are waited."""
        body = {"project": self.project, "selectedItems": {"all": False, "included": tasks}}
        path = f"/api/dm/actions?id=retrieve_tasks_predictions&project={self.project}"

        def pressed() -> list[dict[str, Any]]:
            self.client.call("POST", path, json=body, timeout=120)
            return self.predictions(tasks[0])

        until("proposals", pressed)

    def predictions(self, task: int) -> list[dict[str, Any]]:
        """What Label Studio has stored."""
        return self.client.task(task)["predictions"]


def scenes(held_out: bool, count: int) -> Iterator[CompleteImage]:
    """Draw scenes of one part of the split, which depends on the image's bytes."""
    seed = 0
    while count:
        scene = discs(seed)
        seed += 1
        if is_held_out(hashlib.sha256(png(scene.image)).hexdigest()[:32]) == held_out:
            count -= 1
            yield scene


@pytest.fixture(scope="module")
def disks(studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    """A project whose model has learned to propose, from some images and few steps."""
    home = tmp_path_factory.mktemp("proposing")
    short = {"CLICKMASK_DEVICE": "cpu", "CLICKMASK_TRAIN_STEPS": "2"}
    with backend_at(home, studio.url, studio.token, **short) as (backend, url):
        made = Disks(backend, url)
        refused = made.run("propose", str(made.project))
        assert refused.returncode == 1 and "no model of its own yet" in refused.stderr
        for scene in [*scenes(True, HELD_OUT), *scenes(False, TRAINED_ON)]:
            made.annotate(made.add(scene), scene)
        trained = made.run("fine-tune", str(made.project), "--now")
        assert trained.returncode in (0, 3), trained.stderr
        version = Registry(home).current(f"project-{made.project}")
        assert version is not None, trained.stdout
        assert read_card(version.path)["proposals"]["offered"], trained.stdout
        yield made


def hits(result: list[dict[str, Any]], scene: CompleteImage) -> int:
    """Count the discs that a region fits well."""
    masks = [region.mask() for region in accepted(result)]
    return sum(max((iou(mask, truth) for mask in masks), default=0.0) > 0.8 for truth in scene.masks)


@pytest.mark.timeout(1200)
def test_batch_predictions_proposes_and_an_annotator_mends(disks: Disks, editor: Editor) -> None:
    client, project = disks.client, disks.project
    fresh = [discs(seed) for seed in range(500, 503)]
    tasks = [disks.add(scene) for scene in fresh]
    disks.batch_predictions(tasks)
    version = Registry(disks.home).current(f"project-{project}")
    assert version is not None
    for task, scene in zip(tasks, fresh, strict=True):
        (prediction,) = disks.predictions(task)
        assert prediction["model_version"] == version.name and 0 < prediction["score"] <= 1
        assert hits(prediction["result"], scene) >= 4

    turned_on = disks.run("connect", str(project), "--url", disks.backend.url, "--prelabel")
    assert turned_on.returncode == 0, turned_on.stderr
    assert client.project(project)["model_version"] == TITLE  # which "Label All Tasks" shows predictions of
    task, scene = tasks[0], fresh[0]
    editor.open(project, task, keep_label=False)
    shown = [region["id"] for region in editor.state()["regions"]]
    assert len(shown) == len(accepted(disks.predictions(task)[0]["result"]))
    mended, deleted = _mend_and_delete(editor, disks, task, scene)
    saved = editor.submit()
    annotation = client.call("GET", f"/api/annotations/{saved['id']}/")
    regions = {region.id: region for region in accepted(annotation["result"])}
    assert deleted not in regions and set(regions) == set(shown) - {deleted}
    assert regions[mended].meta.proposed and regions[mended].meta.clicks == 1
    untouched = [region for number, region in regions.items() if number != mended]
    assert all(region.meta.proposed and region.meta.clicks == 0 for region in untouched)
    events = list(ClickLog(OptionalRedis(disks.redis_url), 90).read(project, {task}))
    assert [event.proposed for event in events if event.region == mended] == [True]


def _mend_and_delete(editor: Editor, disks: Disks, task: int, scene: CompleteImage) -> tuple[str, str]:
    """Correct one proposal with a click inside it, and delete another one; returns their ids."""
    first, second = accepted(disks.predictions(task)[0]["result"])[:2]
    height, width = scene.image.shape[:2]
    rows, columns = np.nonzero(first.mask())
    editor.tool("key-point-tool")
    editor.label("label", "Disc")
    editor.click(float(columns.mean()) / width, float(rows.mean()) / height, key="Control")
    editor.accept(escape=False)
    editor.delete(second.id)
    return first.id, second.id


@pytest.mark.timeout(1200)
def test_a_whole_project_is_proposed_and_gone_on_with(disks: Disks) -> None:
    tasks = [disks.add(discs(seed)) for seed in range(600, 603)]
    stale = {"result": [], "score": 0.5, "model_version": "base-1-00000000"}
    foreign = {"result": [], "score": 0.5, "model_version": "another model"}
    disks.client.import_predictions(disks.project, [{"task": tasks[0], **p} for p in (stale, foreign)])
    for count in (3, 0):  # the second run finds nothing left to do
        done = disks.run("propose", str(disks.project), "--now", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["written"] == count
    versions = [prediction["model_version"] for prediction in disks.predictions(tasks[0])]
    assert "another model" in versions and "base-1-00000000" not in versions
    assert len(versions) == 2
    annotated = [task for task in disks.client.tasks(disks.project) if task["total_annotations"]]
    assert sum(task["total_predictions"] for task in annotated) <= 1  # of the one that an annotator took over


@pytest.mark.timeout(600)
def test_next_tasks_are_written_with_a_tab(disks: Disks) -> None:
    fresh = {disks.add(discs(seed)) for seed in (650, 651)}
    done = disks.run("next", str(disks.project), "--apply", "--json")
    assert done.returncode == 0, done.stderr
    order = [entry["task"] for entry in json.loads(done.stdout)]
    open_tasks = {t["id"] for t in disks.client.tasks(disks.project) if not t["total_annotations"]}
    assert set(order) == open_tasks >= fresh
    numbers = [disks.client.task(task)["data"]["label_next"] for task in order]
    assert numbers == list(range(1, len(order) + 1))
    assert "To label next" in [view["data"]["title"] for view in disks.client.views(disks.project)]


@pytest.mark.timeout(900)
def test_the_next_job_learns_from_what_was_taken_over(disks: Disks) -> None:
    task, other = (disks.add(discs(seed)) for seed in (700, 701))
    # A request for one task is taken for an annotator who opens it, and who does not wait as long.
    disks.batch_predictions([task, other])
    (prediction,) = disks.predictions(task)
    taken = create_annotation(disks.client, task, prediction["result"], parent_prediction=prediction["id"])
    synced = disks.run("fine-tune", str(disks.project), "--sync")
    assert synced.returncode == 0, synced.stderr
    client = OptionalRedis(disks.redis_url).client()
    ledger, rule = Ledger(client), disks.backend.settings.accept
    assert taken["id"] in ledger.fresh(disks.project, rule)
    trained = disks.run("fine-tune", str(disks.project), "--now")
    assert trained.returncode in (0, 3), trained.stderr
    assert taken["id"] not in ledger.fresh(disks.project, rule)
    outcome = outcomes(client, disks.project)[0]
    images = outcome.counts["train_images"] + outcome.counts["held_out_images"]
    assert (images, outcome.problems) == (len(ledger.accepted(disks.project, rule)), [])
