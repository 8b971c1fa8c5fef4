"""One attempt at a better version: how far it goes, when it is refused, and what it publishes."""

import dataclasses
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from fine_tune.project import attempt, phases
from fine_tune.project.job_state import JobState
from model.scene import Sample
from model.versions import checkpoint
from model.versions.registry import Registry
from tests.fine_tune.project.shape_jobs import COUNT, LINE, PROJECT, Jobs, Killed, setup
from tests.fine_tune.shape_project import CARD, Shapes, base, network
from tests.fine_tune.shape_scenes import shape_scene


def test_where_it_surely_helps_the_model_goes_all_the_way(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    base(Registry(tmp_path))
    monkeypatch.setattr(attempt, "ALPHAS", (0.0,))  # which is the base model, that knows nothing of shapes
    outcome = jobs.run(Shapes(COUNT), setup(tmp_path, 60))
    assert outcome.metrics["share"] == 1.0


def test_training_draws_clicks_as_the_card_says(tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    registry, recipes = Registry(tmp_path), []
    card = {**CARD, "encoding": {"name": "distance", "radius": 260.0}}
    registry.promote(registry.add("base", network(), card))

    def tune(*arguments: Any) -> None:
        recipes.append(arguments[3])
        raise FloatingPointError("that is enough")

    monkeypatch.setattr(attempt.fine_tuner, "tune", tune)
    assert jobs.run(Shapes(COUNT), setup(tmp_path)).status == "refused"
    assert recipes[0].encoding == ("distance", 260.0)


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


def test_a_full_disk_leaves_the_served_version(home: Path, jobs: Jobs):
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


def test_a_job_that_was_killed_at_the_end_of_its_training_tells_what_it_did(
    home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    def kill(self: JobState, network: nn.Module, facts: Mapping[str, Any]) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(JobState, "save_tuned", kill)
        with pytest.raises(Killed):
            jobs.run(Shapes(COUNT), setup(home))
    outcome = jobs.run(Shapes(COUNT), setup(home))
    done = outcome.metrics["training"]
    assert (done["steps"], done["samples"]) == (2, 8)


def test_the_pace_of_clicks_is_that_of_judging_alone(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    base(Registry(tmp_path))
    told: dict[str, float] = {}
    monkeypatch.setattr(phases.Timeline, "close", lambda self, done: told.update(done))
    outcome = jobs.run(Shapes(COUNT), setup(tmp_path))
    assert told[phases.TRAIN] == 2
    assert 0 < told[phases.JUDGE] < outcome.metrics["clicks"], "some were made to choose"
