"""Whole jobs on a project of shapes: what is promoted, what is left alone, and how killed ones go on."""

from pathlib import Path

import numpy as np
import pytest

from fine_tune.data import project_samples
from fine_tune.data.project_samples import (
    HELD_OUT,
    held_out_share,
    is_held_out,
)
from fine_tune.project import phases
from fine_tune.project.job import Cancelled
from fine_tune.project.judging.clicking import Clicking
from fine_tune.project.outcome import OVERTAKEN
from model.inference.domain import Domain
from model.versions import checkpoint
from model.versions.registry import Registry
from tests.fine_tune.project.shape_jobs import COUNT, LINE, PROJECT, Jobs, Killed, Log, killed_in, setup
from tests.fine_tune.shape_project import ShapeAnnotations, Shapes


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
    assert (
        card["metrics"]["gate"]["objects"] == setup(home).limits.objects < outcome.counts["held_out_objects"]
    )
    assert card["parent"].startswith("base-1-")
    assert registry.fallback(card).name == card["general"] == card["parent"]
    domain = Domain.from_json(card["domain"])
    images = Shapes(COUNT).annotations().images(set(range(COUNT)), print)
    assert all(domain.covers(labelled.image) for labelled in images)
    assert not domain.covers(np.full((90, 90, 3), 200, np.uint8))
    assert not set(card["training"]["images"]) & set(card["training"]["held_out"])


def test_annotations_are_listed_once(home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    """Label Studio sends all their masks: gigabytes of a large project."""
    source, times = Shapes(COUNT), list[int]()
    jobs.ledger.reconcile(PROJECT, source.annotations)
    jobs.ledger.mark_seen(PROJECT, jobs.ledger.accepted(PROJECT, "submitted"))
    whole = ShapeAnnotations.__iter__
    monkeypatch.setattr(ShapeAnnotations, "__iter__", lambda self: times.append(1) or whole(self))
    assert jobs.run(source, setup(home)).status == "skipped" and times == [1]


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


@pytest.mark.parametrize("phase", [phases.CHOOSE, phases.JUDGE])
def test_a_job_that_was_killed_after_its_training_does_not_train_again(home: Path, jobs: Jobs, phase: str):
    before = Registry(home).versions(LINE)
    with pytest.raises(Killed):
        jobs.run(Shapes(COUNT), setup(home), killed_in(phase))
    log = Log()
    outcome = jobs.run(Shapes(COUNT), setup(home), log)
    assert log.steps == []
    assert outcome.metrics["training"]["steps"] == 2, "of the job that was killed"
    assert len(Registry(home).versions(LINE)) == len(before) + 1
    assert not jobs.ledger.fresh(PROJECT, "submitted")
    assert jobs.run(Shapes(COUNT), setup(home)).status == "skipped"


def test_clicks_that_were_made_are_not_made_again(home: Path, jobs: Jobs):
    whole = jobs.run(Shapes(COUNT), setup(home), project=PROJECT + 1)
    with pytest.raises(Killed):
        jobs.run(Shapes(COUNT), setup(home), killed_in(phases.JUDGE, after=12))
    outcome = jobs.run(Shapes(COUNT), setup(home))
    assert 0 < outcome.metrics["clicks"] < whole.metrics["clicks"]


def test_a_job_that_was_killed_in_its_training_goes_on_there(home: Path, jobs: Jobs):
    with pytest.raises(Killed):
        jobs.run(Shapes(COUNT), setup(home, 12), killed_in(phases.TRAIN, after=7))
    log = Log()
    outcome = jobs.run(Shapes(COUNT), setup(home, 12), log)
    assert log.steps[0] > 4
    assert outcome.metrics["training"]["steps"] == 12


def killed_at(owner: type, method: str, home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that serves whatever it learns, killed where it calls a method."""

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, kill)
        with pytest.raises(Killed):
            jobs.run(Shapes(COUNT), setup(home), force=True)


def test_a_job_that_was_killed_before_its_version_was_served_serves_it(
    home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    killed_at(Registry, "promote", home, jobs, monkeypatch)
    made = Registry(home).versions(LINE)[-1]
    assert Registry(home).current(LINE) != made
    log = Log()
    outcome = jobs.run(Shapes(COUNT), setup(home), log, force=True)
    assert (outcome.status, outcome.version) == ("promoted", made.name)
    assert Registry(home).current(LINE) == made == Registry(home).versions(LINE)[-1]
    assert log.phases == []
    assert not jobs.ledger.fresh(PROJECT, "submitted")


def test_a_version_that_a_person_took_back_is_not_served_again(
    home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    killed_at(Clicking, "keep", home, jobs, monkeypatch)
    registry = Registry(home)
    made = registry.current(LINE)
    before = registry.rollback(LINE)
    log = Log()
    outcome = jobs.run(Shapes(COUNT), setup(home), log, force=True)
    assert made is not None and outcome.version == made.name
    assert registry.current(LINE) == before
    assert log.phases == [], "it is over"
    assert not jobs.ledger.fresh(PROJECT, "submitted")


def test_what_is_annotated_while_a_killed_job_waits_is_left_to_the_next_one(home: Path, jobs: Jobs):
    with pytest.raises(Killed):
        jobs.run(Shapes(COUNT), setup(home), killed_in(phases.JUDGE))
    source = Shapes(COUNT + 1)
    source.listed[4]["updated_at"] = "2026-02-01T00:00:00Z"
    log = Log()
    outcome = jobs.run(source, setup(home), log)
    assert log.steps == []
    assert outcome.counts["train_images"] + outcome.counts["held_out_images"] == COUNT - 1
    assert jobs.ledger.fresh(PROJECT, "submitted") == {4, COUNT}


def test_what_a_killed_job_has_trained_on_does_not_judge_it(
    home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(project_samples, "FEW", COUNT * HELD_OUT)  # fewer images than these hold out more
    source = Shapes(COUNT)
    with pytest.raises(Killed):
        jobs.run(source, setup(home), killed_in(phases.CHOOSE))
    trained = {name for n in range(COUNT) if not is_held_out(name := f"image-{n}")}
    left = range(COUNT // 2, COUNT)
    assert any(is_held_out(f"image-{n}", held_out_share(len(left))) and f"image-{n}" in trained for n in left)
    for annotation in source.listed[: left.start]:
        annotation["updated_at"] = "2026-02-01T00:00:00Z"
    outcome = jobs.run(source, setup(home))
    training = checkpoint.read_card(Registry(home).find(outcome.version).path)["training"]
    assert training["held_out"]
    assert not trained & set(training["held_out"])


def test_what_the_served_version_has_learned_from_does_not_judge(
    home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    trained = checkpoint.read_card(Registry(home).find(LINE).path)["training"]["images"]
    monkeypatch.setattr(project_samples, "MOST_HELD_OUT", 0.6)  # a larger share, as of a project that shrinks
    monkeypatch.setattr(project_samples, "FEW", COUNT)
    outcome = jobs.run(Shapes(COUNT), setup(home))
    training = checkpoint.read_card(Registry(home).find(outcome.version).path)["training"]
    assert training["held_out"]
    assert not set(trained) & set(training["held_out"])


def test_the_share_is_by_tasks_however_many_annotate_each(home: Path, jobs: Jobs):
    source = Shapes(COUNT)
    source.listed += [{**annotation, "id": annotation["id"] + COUNT} for annotation in source.listed]
    with pytest.raises(Killed):
        jobs.run(source, setup(home), killed_in(phases.FETCH))
    assert '"tasks": 30' in (home / "jobs" / LINE / "begun.json").read_text()


def test_another_effort_or_parent_begins_anew(home: Path, jobs: Jobs):
    with pytest.raises(Killed):
        jobs.run(Shapes(COUNT), setup(home), killed_in(phases.JUDGE))
    log = Log()
    assert jobs.run(Shapes(COUNT), setup(home, 3), log).status in ("promoted", "kept back")
    assert log.steps == [1, 2, 3]


def test_a_job_that_was_killed_before_its_version_was_served_gives_way_to_one_that_was_chosen_meanwhile(
    home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    killed_at(Registry, "promote", home, jobs, monkeypatch)
    registry = Registry(home)
    other = registry.adopt(LINE, registry.versions("base")[0].path)
    registry.promote(other)
    outcome = jobs.run(Shapes(COUNT), setup(home), force=True)
    assert outcome.status == "kept back"
    assert outcome.reason.startswith(OVERTAKEN)
    assert registry.current(LINE) == other
