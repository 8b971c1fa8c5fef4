"""Jobs that were killed go on where they were."""

from pathlib import Path

import pytest

from fine_tune.project import phases
from fine_tune.project.outcome import OVERTAKEN
from model.versions.registry import Registry, Version
from tests.fine_tune.project.shape_jobs import COUNT, LINE, PROJECT, Jobs, Killed, Log, killed_in, setup
from tests.fine_tune.shape_project import Shapes


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


def test_a_job_that_was_killed_before_its_version_was_served_serves_it(
    home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    def kill(self: Registry, version: Version) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "promote", kill)
        with pytest.raises(Killed):
            jobs.run(Shapes(COUNT), setup(home), force=True)
    made = Registry(home).versions(LINE)[-1]
    assert Registry(home).current(LINE) != made
    log = Log()
    outcome = jobs.run(Shapes(COUNT), setup(home), log, force=True)
    assert (outcome.status, outcome.version) == ("promoted", made.name)
    assert Registry(home).current(LINE) == made == Registry(home).versions(LINE)[-1]
    assert log.phases == []
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


def test_another_effort_or_parent_begins_anew(home: Path, jobs: Jobs):
    with pytest.raises(Killed):
        jobs.run(Shapes(COUNT), setup(home), killed_in(phases.JUDGE))
    log = Log()
    assert jobs.run(Shapes(COUNT), setup(home, 3), log).status in ("promoted", "kept back")
    assert log.steps == [1, 2, 3]


def test_a_job_that_was_killed_before_its_version_was_served_gives_way_to_one_that_was_chosen_meanwhile(
    home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    def kill(self: Registry, version: Version) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "promote", kill)
        with pytest.raises(Killed):
            jobs.run(Shapes(COUNT), setup(home), force=True)
    registry = Registry(home)
    other = registry.adopt(LINE, registry.versions("base")[0].path)
    registry.promote(other)
    outcome = jobs.run(Shapes(COUNT), setup(home), force=True)
    assert outcome.status == "kept back"
    assert outcome.reason.startswith(OVERTAKEN)
    assert registry.current(LINE) == other
