"""A head on disk: what was saved proposes again, and what does not fit is refused."""

import numpy as np
import pytest
from torch import nn

from model.engines.base import Engine
from model.engines.factory import create_engine
from model.proposals.trained import HeadError, Proposer, load_proposer, make_looker
from model.versions import checkpoint
from model.versions.registry import Registry, Version
from tests.fine_tune.proposals.disc_proposer import add_proposing
from tests.fine_tune.proposals.drawn import discs
from tests.model.official_checkpoints import SMALL_VIT, small_vit
from tests.model.textures import stripes


def engine(network: nn.Module, size: int) -> Engine:
    return create_engine(network, size, "cpu", threads=1)


def loaded(version: Version) -> Proposer | None:
    return load_proposer(version.path, checkpoint.load(version.path), engine)


def test_a_saved_head_proposes_what_it_learned(registry: Registry):
    proposer, scene = loaded(add_proposing(registry)), discs(100)
    assert proposer is not None and proposer.labels == ("Disc",)
    found = proposer.propose(scene.image)
    assert sum(any(mask[p.click.pixel(*mask.shape)] for mask in scene.masks) for p in found) >= 4
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert min(p.score for p in found) >= 0.25
    assert len(proposer.propose(scene.image, 2)) == 2
    assert proposer.covers(scene.image) and not proposer.covers(stripes(0))


def test_scores_are_expected_ious_where_they_are_known(registry: Registry):
    known = {"scores": [0.0, 1.0], "ious": [0.5, 0.7], "error": 0.1}
    raw, told = (loaded(add_proposing(registry, **more)) for more in ({}, {"expectation": known}))
    assert raw is not None and told is not None
    before, after = (proposer.propose(discs(100).image) for proposer in (raw, told))
    assert [p.score for p in after] == pytest.approx([0.5 + 0.2 * p.score for p in before])


def test_doubt_is_a_share_and_full_where_nothing_is_seen(registry: Registry):
    proposer = loaded(add_proposing(registry))
    assert proposer is not None
    assert 0 < proposer.doubt(discs(100).image) < 1
    assert proposer.doubt(np.full((64, 64, 3), 120, np.uint8)) == 1


def test_a_version_may_offer_nothing(registry: Registry):
    version = add_proposing(registry, offered=False)
    assert loaded(version) is None
    assert checkpoint.load(version.path)[1]["proposals"]["reason"]


@pytest.mark.parametrize(
    "changes", [{"labels": ["A", "B"]}, {"labels": ["A", "B"], "thresholds": [0.1, 0.2]}]
)
def test_a_head_that_does_not_fit_its_card_is_refused(registry: Registry, changes: dict[str, list[str]]):
    with pytest.raises(HeadError, match="does not fit its card"):
        loaded(add_proposing(registry, **changes))


def test_the_looker_looks_at_a_side_that_the_network_takes():
    card = {"architecture": SMALL_VIT, "encoding": {"name": "disk", "radius": 5.0}, "size": 448}
    assert make_looker((small_vit(patch=14), card), engine).engine.size == 224
