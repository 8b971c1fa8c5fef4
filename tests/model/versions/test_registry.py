"""The registry: versions, the pointer, rollback, pruning."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from model.versions import checkpoint, registry
from model.versions.checkpoint import CheckpointError
from model.versions.registry import Registry, RegistryError
from tests.model.tiny_network import CARD, network


def test_versions_are_numbered_and_named_by_their_weights(store: Registry, net: torch.nn.Module) -> None:
    assert store.lines() == [] and store.versions("base") == [] and store.current("base") is None
    first = store.add("base", net, CARD)
    second = store.add("base", network(1), CARD)
    other = store.add("project-12", net, CARD)
    assert [v.ordinal for v in (first, second, other)] == [1, 2, 1]
    assert first.hash8 == other.hash8 != second.hash8
    digest = checkpoint.read_card(first.path)["sha256"]
    assert first.name == f"base-1-{digest[:8]}"
    assert store.versions("base") == [first, second]
    assert store.lines() == ["base", "project-12"]
    assert store.current("base") is None  # nothing is served that nobody promoted
    assert checkpoint.load(second.path)[1]["metrics"] == CARD["metrics"]


def test_ten_versions_are_in_order(store: Registry, net: torch.nn.Module) -> None:
    added = [store.add("base", net, CARD) for _ in range(11)]
    assert store.versions("base") == added


def test_rollback_goes_back_the_way_it_came(store: Registry, net: torch.nn.Module) -> None:
    one, two, three = (store.add("base", net, CARD) for _ in range(3))
    with pytest.raises(RegistryError, match="no version was served before"):
        store.rollback("base")
    for version in (one, three, two, two):  # promoting what is served changes nothing
        store.promote(version)
        assert store.current("base") == version
    assert store.rollback("base") == store.current("base") == three
    assert store.rollback("base") == store.current("base") == one
    with pytest.raises(RegistryError, match="no version was served before"):
        store.rollback("base")
    store.promote(two)
    assert store.rollback("base") == one


def test_a_projects_first_version_rolls_back_to_the_base_model(store: Registry, net: torch.nn.Module) -> None:
    base, own = store.add("base", net, CARD), store.add("project-3", net, CARD)
    store.promote(base)
    store.promote(own)
    assert store.rollback("project-3") == base
    assert store.current("project-3") is None
    with pytest.raises(RegistryError, match="no version was served before"):
        store.rollback("project-3")
    store.promote(own)
    assert store.current("project-3") == own


def test_prune_keeps_what_is_served_or_may_be(store: Registry, net: torch.nn.Module) -> None:
    versions = [store.add("base", net, CARD) for _ in range(6)]
    for version in (versions[4], versions[0], versions[2]):
        store.promote(version)
    gone = store.prune("base", keep=2)
    assert gone == [versions[1], versions[3]]
    assert store.versions("base") == [versions[i] for i in (0, 2, 4, 5)]
    assert store.rollback("base") == versions[0]
    assert store.add("base", net, CARD).ordinal == 7
    with pytest.raises(RegistryError, match="cannot be promoted: it has been removed"):
        store.promote(versions[1])
    with pytest.raises(RegistryError, match="keep at least 1"):
        store.prune("base", keep=0)
    assert not [p for p in (store.root / "base").iterdir() if p.name.startswith(".tmp")]


def test_find(store: Registry, net: torch.nn.Module) -> None:
    one, two = store.add("base", net, CARD), store.add("base", net, CARD)
    three = store.add("project-7", net, CARD)
    assert store.find(two.name) == store.find("base-2") == two
    assert store.find("project-7-1") == three
    with pytest.raises(
        RegistryError, match=rf"'base' has no promoted version: .* \({one.name}, {two.name}\)"
    ):
        store.find("base")
    store.promote(one)
    assert store.find("base") == one
    with pytest.raises(RegistryError, match=rf"no version 'base-3': line 'base' has {one.name}, {two.name}"):
        store.find("base-3")
    with pytest.raises(RegistryError, match="'../etc' is no model version"):
        store.find("../etc")


def test_what_fails_makes_no_line(store: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="cannot be rolled back"):
        store.rollback("project-33")
    with pytest.raises(CheckpointError):
        store.adopt("project-34", tmp_path / "nothing")
    assert store.lines() == []


def test_the_base_that_a_card_names_is_found_or_missed(
    store: Registry, net: torch.nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    base = store.add("base", net, CARD)
    assert store.fallback({**CARD, "general": base.name}) == base
    assert store.fallback(CARD) is None and not caplog.records
    assert store.fallback({**CARD, "general": "base-7-00000000"}) is None
    assert "has to answer for all images" in caplog.text


def test_adopt_copies_byte_for_byte(store: Registry, net: torch.nn.Module, tmp_path: Path) -> None:
    source = tmp_path / "elsewhere"
    checkpoint.save(source, net, CARD)
    version = store.adopt("project-1", source)
    for name in (checkpoint.WEIGHTS, checkpoint.CARD):
        assert (version.path / name).read_bytes() == (source / name).read_bytes()
    (source / checkpoint.WEIGHTS).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"elsewhere.model\.safetensors was cut short"):
        store.adopt("project-1", source)
    assert store.versions("project-1") == [version]
    assert not [p for p in (store.root / "project-1").iterdir() if p.name.startswith(".tmp")]


def test_the_first_start_installs_the_packaged_weights(
    store: Registry, net: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "packaged")
    with pytest.raises(CheckpointError, match="cannot be read"):
        store.ensure_base()
    checkpoint.save(tmp_path / "packaged", net, CARD)
    with ThreadPoolExecutor(4) as pool:
        starts = list(pool.map(lambda _: store.ensure_base(), range(4)))
    assert {v.name for v in starts} == {store.versions("base")[0].name}
    assert store.current("base") == store.versions("base")[0] and len(store.versions("base")) == 1
    other = store.add("base", network(1), CARD)
    store.promote(other)
    assert store.ensure_base() == other  # what people chose stays


def test_packaged_weights_that_an_upgrade_brought_are_named(
    store: Registry, net: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "packaged")
    checkpoint.save(tmp_path / "packaged", net, CARD)
    served = store.ensure_base()
    assert store.new_default() is None
    (tmp_path / "packaged").rename(tmp_path / "old")
    sha256 = checkpoint.save(tmp_path / "packaged", network(1), CARD)["sha256"]
    assert store.ensure_base() == served and store.new_default() == sha256[:8]
    store.adopt("base", tmp_path / "packaged")
    assert store.new_default() is None
