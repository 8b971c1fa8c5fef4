"""Whole jobs on a project of shapes: what is promoted, what is refused, what is left alone."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fine_tune.data.project_samples import LabelledImage, SourceError
from fine_tune.project import attempt, phases
from fine_tune.project.job import Cancelled
from model.inference.domain import Domain
from model.scene import Sample
from model.versions import checkpoint
from model.versions.registry import Registry
from tests.fine_tune.project.shape_jobs import COUNT, LINE, PROJECT, Jobs, setup
from tests.fine_tune.shape_project import ShapeAnnotations, Shapes, base
from tests.fine_tune.shape_scenes import shape_scene


def test_a_model_that_learned_is_promoted(learned):
    home, outcome = learned
    registry = Registry(home)
    assert outcome.status == "promoted", outcome.reason
    current = registry.current(LINE)
    assert current is not None and current.name == outcome.version
    card = checkpoint.read_card(current.path)
    before, after = card["metrics"]["before"], card["metrics"]["after"]
    assert after["iou_at_3"] > before["iou_at_3"] + 0.1
    assert len(after["clickers"]["classic"]["curve"]) == 4
    assert card["metrics"]["gate"]["objects"] == outcome.counts["held_out_objects"]
    assert card["parent"].startswith("base-1-")
    assert registry.fallback(card).name == card["general"] == card["parent"]
    domain = Domain.from_json(card["domain"])
    images = Shapes(COUNT).annotations().images(set(range(COUNT)), print)
    assert all(domain.covers(labelled.image) for labelled in images)
    assert not domain.covers(np.full((90, 90, 3), 200, np.uint8))
    assert not set(card["training"]["images"]) & set(card["training"]["held_out"])


def test_where_it_surely_helps_the_model_goes_all_the_way(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    base(Registry(tmp_path))
    monkeypatch.setattr(attempt, "ALPHAS", (0.0,))  # which is the base model, that knows nothing of shapes
    outcome = jobs.run(Shapes(COUNT), setup(tmp_path, 60))
    assert outcome.metrics["share"] == 1.0


def test_nothing_new_trains_nothing(home: Path, jobs: Jobs):
    made = setup(home)
    ledger, source = jobs.ledger, Shapes(COUNT)
    ledger.reconcile(PROJECT, source.annotations)
    ledger.mark_seen(PROJECT, ledger.accepted(PROJECT, "submitted"))
    assert jobs.run(source, made).status == "skipped"
    source.listed[4]["updated_at"] = "2026-02-01T00:00:00Z"
    assert jobs.run(source, made).status != "skipped"


def test_wrong_masks_are_not_promoted(home: Path, jobs: Jobs):
    registry, chance = Registry(home), np.random.default_rng(0)
    good = registry.current(LINE)
    assert good is not None
    registry.promote(registry.adopt("base", good.path))  # a base that knows shapes
    other = PROJECT + 1

    def shuffled(mask: np.ndarray) -> np.ndarray:
        return np.roll(mask, tuple(chance.integers(20, 76, 2)), (0, 1))

    outcome = jobs.run(Shapes(COUNT, shuffled), setup(home, 12), project=other)
    assert outcome.status in ("kept back", "refused"), outcome.reason
    assert outcome.reason
    assert registry.current(f"project-{other}") is None


def test_a_loss_that_is_no_number_is_refused(home: Path, jobs: Jobs):
    made = setup(home)
    bad = dataclasses.replace(made, effort=dataclasses.replace(made.effort, rate=1e30, steps=8))
    before = Registry(home).versions(LINE)
    outcome = jobs.run(Shapes(COUNT), bad)
    assert outcome.status == "refused"
    assert "training failed" in outcome.reason
    assert Registry(home).versions(LINE) == before


def test_a_damaged_version_is_passed_over(home: Path, jobs: Jobs):
    current = Registry(home).current(LINE)
    assert current is not None
    weights = current.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    outcome = jobs.run(Shapes(COUNT), setup(home))
    assert any("passed over" in problem for problem in outcome.problems)
    made = Registry(home).find(outcome.version)
    assert checkpoint.read_card(made.path)["parent"].startswith("base-1-")


def test_too_little_held_out_is_served_only_by_force(home: Path, jobs: Jobs):
    made = setup(home)
    strict = dataclasses.replace(made, limits=dataclasses.replace(made.limits, few=100))
    before = Registry(home).current(LINE)
    outcome = jobs.run(Shapes(COUNT), strict)
    assert (outcome.status, Registry(home).current(LINE)) == ("kept back", before)
    assert "held out" in outcome.reason
    forced = jobs.run(Shapes(COUNT), strict, force=True)
    current = Registry(home).current(LINE)
    assert current is not None
    assert (forced.status, current.name) == ("promoted", forced.version)


def test_forgetting_the_general_case_is_refused(home: Path, jobs: Jobs):
    made = setup(home)
    like_the_project = Sample("shape", lambda: shape_scene(np.random.default_rng(77)))
    limits = dataclasses.replace(made.limits, retention_loss=-1)
    strict = dataclasses.replace(made, limits=limits, retention_set=[like_the_project])
    outcome = jobs.run(Shapes(COUNT), strict)
    assert outcome.status == "refused"
    assert "general" in outcome.reason
    assert outcome.metrics["general"]["covered"] == 1
    assert outcome.metrics["general"]["before"]["noc90"] >= 1


def test_images_that_the_base_model_still_answers_for_are_not_clicked(home: Path, jobs: Jobs):
    outcome = jobs.run(Shapes(COUNT), setup(home))
    assert outcome.metrics["general"] == {"objects": 1, "covered": 0}


def test_a_cancelled_job_leaves_everything(home: Path, jobs: Jobs):
    made, before = setup(home, 50), Registry(home).versions(LINE)
    steps = []

    def cancel(phase: str, share: float, **facts: object) -> None:
        if phase == "training":
            steps.append(share)
            raise Cancelled("now")

    with pytest.raises(Cancelled):
        jobs.run(Shapes(COUNT), made, cancel)
    assert len(steps) == 1
    assert not (home / "jobs" / LINE).exists()
    assert Registry(home).versions(LINE) == before
    assert jobs.ledger.fresh(PROJECT, "submitted"), "they are still to be learned from"


def test_what_is_saved_while_label_studio_is_asked_stays_new(home: Path, jobs: Jobs):
    made = setup(home)

    class Meanwhile(Shapes):
        def annotations(self) -> ShapeAnnotations:
            found = super().annotations()
            listed = list(found)
            for number in (4, COUNT):  # one that is changed, and one that is made
                late = {**listed[4], "id": number, "updated_at": "2026-02-01T00:00:00Z"}
                jobs.ledger.record("ANNOTATION_UPDATED", {"annotation": late, "project": {"id": PROJECT}})
            return found

    jobs.run(Meanwhile(COUNT), made)
    assert jobs.ledger.fresh(PROJECT, "submitted") == {4, COUNT}


def test_a_version_that_was_chosen_meanwhile_stays(home: Path, jobs: Jobs):
    registry = Registry(home)
    served = registry.current(LINE)
    assert served is not None
    other = registry.adopt(LINE, registry.versions("base")[0].path)

    def choose(phase: str, share: float, **facts: object) -> None:
        if phase == "training":
            registry.promote(other)

    outcome = jobs.run(Shapes(COUNT), setup(home), choose, force=True)
    assert outcome.status == "kept back"
    assert "another version was chosen" in outcome.reason
    assert registry.current(LINE) == other
    assert registry.find(outcome.version), "it can be promoted by hand"


def test_a_source_that_fails_changes_nothing(home: Path, jobs: Jobs):
    class Failing(ShapeAnnotations):
        def images(self, chosen, on_problem) -> Iterator[LabelledImage]:
            yield next(super().images(chosen, on_problem))
            raise SourceError("Label Studio at http://... cannot be reached")

    made, before = setup(home), Registry(home).versions(LINE)
    with pytest.raises(SourceError):
        jobs.run(Shapes(COUNT, listed_as=Failing), made)
    assert Registry(home).versions(LINE) == before
    assert len(jobs.ledger.fresh(PROJECT, "submitted")) == COUNT


def test_images_that_cannot_be_read_are_named(home: Path, jobs: Jobs):
    class Partly(ShapeAnnotations):
        def images(self, chosen, on_problem) -> Iterator[LabelledImage]:
            on_problem("task 7: there is no such file")
            yield from super().images(chosen - {7}, on_problem)

    outcome = jobs.run(Shapes(COUNT, listed_as=Partly), setup(home))
    assert outcome.problems == ["task 7: there is no such file"]


def test_a_full_disk_leaves_the_served_version(home: Path, jobs: Jobs):
    import resource

    made, before = setup(home), Registry(home).current(LINE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(phase: str, share: float, **facts: object) -> None:
        if phase == "writing the version":
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))

    try:
        with pytest.raises(OSError):
            jobs.run(Shapes(COUNT), made, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert Registry(home).current(LINE) == before
    assert jobs.ledger.fresh(PROJECT, "submitted")
    assert not list((home / "registry" / LINE).glob(".tmp-*"))


def test_the_pace_of_clicks_is_that_of_judging_alone(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    base(Registry(tmp_path))
    told: dict[str, float] = {}
    monkeypatch.setattr(phases.Timeline, "close", lambda self, done: told.update(done))
    outcome = jobs.run(Shapes(COUNT), setup(tmp_path))
    assert told[phases.TRAIN] == 2
    assert 0 < told[phases.JUDGE] < outcome.metrics["clicks"], "some were made to choose"
