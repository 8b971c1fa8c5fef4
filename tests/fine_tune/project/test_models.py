"""What a job starts from, and candidates between that and the tuned network."""

from pathlib import Path

import pytest
import torch

from fine_tune.project.models import Lineage
from model.versions.registry import Registry
from tests.fine_tune.shape_project import CARD, base, network


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path)
    base(registry)
    return registry


def lineage(registry: Registry) -> tuple[Lineage, list[str]]:
    problems: list[str] = []
    return Lineage.load(registry, "project-3", problems.append), problems


def test_a_new_project_starts_from_the_base(registry: Registry):
    found, problems = lineage(registry)
    assert found.parent is found.base is found.anchor
    assert found.base.name.startswith("base-1-")
    assert not problems


def test_a_served_version_is_the_parent_with_its_fallback(registry: Registry):
    first, _ = lineage(registry)
    version = registry.add("project-3", network(), first.card({"domain": {"limit": 0.1}}))
    registry.promote(version)
    found, _ = lineage(registry)
    assert found.parent.name == version.name
    assert found.parent.fallback is not None
    assert found.anchor is found.base


def test_a_base_that_sees_clicks_in_another_way_holds_nothing(registry: Registry):
    card = {**CARD, "encoding": {"name": "distance", "radius": 260.0}}
    registry.promote(registry.add("project-3", network(), card))
    found, _ = lineage(registry)
    assert found.anchor is found.parent


def test_a_damaged_version_is_passed_over(registry: Registry):
    version = registry.add("project-3", network(), CARD)
    registry.promote(version)
    (version.path / "model.safetensors").write_bytes(b"")
    found, problems = lineage(registry)
    assert found.parent is found.base
    assert version.name in problems[0]


def test_the_card_takes_over_what_the_answers_depend_on(registry: Registry):
    found, _ = lineage(registry)
    card = found.card({"training": 5})
    assert card["size"] == CARD["size"]
    assert card["parent"] == card["general"] == found.base.name
    assert card["training"] == 5


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_a_candidate_lies_between_anchor_and_tuned(registry: Registry, alpha: float):
    found, _ = lineage(registry)
    tuned = network()
    with torch.no_grad():
        for value in tuned.parameters():
            value.add_(1.0)
    candidate = found.candidate(tuned, alpha, {})
    for a, b in zip(found.base.network.parameters(), candidate.network.parameters(), strict=True):
        assert torch.allclose(b - a, torch.full_like(a, alpha), atol=1e-5)
    assert candidate.fallback is not None and candidate.fallback[0] is found.base.network
