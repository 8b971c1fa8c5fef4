"""A registry in an object store, as two machines see it."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from model.versions import checkpoint
from model.versions import object_store as stored
from model.versions.bucket import StoreError
from model.versions.registry import Registry, RegistryError
from tests.model.tiny_network import CARD, network
from tests.s3_server import ObjectStore


@pytest.fixture
def here(tmp_path: Path, object_store: ObjectStore) -> Registry:
    return Registry(tmp_path / "here", object_store.url)


@pytest.fixture
def there(tmp_path: Path, object_store: ObjectStore) -> Registry:
    return Registry(tmp_path / "there", object_store.url)


def test_what_one_machine_promotes_the_other_serves(
    here: Registry, there: Registry, net: torch.nn.Module
) -> None:
    assert there.lines() == [] and there.current("base") is None
    first = here.add("base", net, CARD)
    here.promote(first)
    assert there.current("base") is None, "known only after it has asked"
    assert there.refresh("base") == ""
    found = there.current("base")
    assert found is not None and found.name == first.name
    assert checkpoint.load(found.path)[1] == checkpoint.load(first.path)[1]
    second = there.add("base", network(1), CARD)
    assert second.ordinal == 2
    there.promote(second)
    assert here.rollback("base").name == first.name, "it goes back from what the other one promoted"
    there.refresh("base")
    assert there.current("base") == found


def test_the_store_has_the_layout_of_a_folder(
    here: Registry, object_store: ObjectStore, net: torch.nn.Module, tmp_path: Path
) -> None:
    version = here.add("project-3", net, CARD)
    here.promote(version)
    for path, data in object_store.objects().items():
        target = tmp_path / "registry" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    copied = Registry(tmp_path)
    current = copied.current("project-3")
    assert current is not None and current.name == version.name
    checkpoint.load(current.path)


def test_versions_that_were_pruned_elsewhere_are_gone(
    here: Registry, there: Registry, net: torch.nn.Module
) -> None:
    added = [here.add("project-1", net, CARD) for _ in range(4)]
    here.promote(added[0])
    assert [v.name for v in there.versions("project-1")] == [v.name for v in added]
    gone = here.prune("project-1", keep=1)
    assert gone == added[1:3]
    assert there.names("project-1") == here.names("project-1") == [added[0].name, added[3].name]
    assert [v.name for v in there.versions("project-1")] == [added[0].name, added[3].name]
    assert {p.name for p in added[0].path.parent.iterdir() if p.is_dir()} == {
        added[0].path.name,
        added[3].path.name,
    }


def test_pointers_to_older_versions_are_followed_on_a_fresh_machine(
    here: Registry, there: Registry, net: torch.nn.Module
) -> None:
    one, two = (here.add("project-1", net, CARD) for _ in range(2))
    here.promote(one)
    here.promote(two)
    assert there.rollback("project-1").name == one.name
    base = there.rollback("project-1")
    assert base.line == "base"
    here.refresh("project-1")
    assert here.current("project-1") is None


def test_a_version_counts_when_its_card_is_there(
    here: Registry, there: Registry, object_store: ObjectStore, net: torch.nn.Module
) -> None:
    version = here.add("base", net, CARD)
    object_store.remove(f"base/{version.path.name}/card.json")
    assert there.names("base") == [] and there.versions("base") == []
    with pytest.raises(RegistryError, match="there is no version"):
        there.find(version.name)


def test_damage_is_named_and_the_version_before_stays(
    here: Registry,
    there: Registry,
    object_store: ObjectStore,
    net: torch.nn.Module,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count(step=stored.PAUSE_S / 8)  # a few looks later, the pause is over
    monkeypatch.setattr(stored, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    good = here.add("base", net, CARD)
    here.promote(good)
    there.refresh("base")
    bad = here.add("base", network(1), CARD)
    weights = f"base/{bad.path.name}/model.safetensors"
    whole = object_store.objects()[weights]
    object_store.put(weights, whole[:-1])
    here.promote(bad)
    assert f"{bad.path.name} is not whole" in there.refresh("base")
    current = there.current("base")
    assert current is not None and current.name == good.name
    assert list(there.broken("base")) == [bad.path.name]
    object_store.put(weights, whole)
    for _ in range(20):
        there.refresh("base")
    current = there.current("base")
    assert current is not None and current.name == bad.name
    object_store.put("base/current", b"newest\n")
    assert "names 'newest', which is no version" in there.refresh("base")
    assert there.current("base") == current
    here.promote(good)
    for _ in range(20):
        there.refresh("base")
    current = there.current("base")
    assert current is not None and current.name == good.name


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.CARD])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_damaged_copy_is_made_anew(
    here: Registry,
    there: Registry,
    net: torch.nn.Module,
    object_store: ObjectStore,
    tmp_path: Path,
    name: str,
    restarted: bool,
) -> None:
    here.promote(here.add("project-3", net, CARD))
    there.refresh("project-3")
    copy = there.current("project-3")
    assert copy is not None
    whole = (copy.path / name).read_bytes()
    (copy.path / name).write_bytes(whole[:-7])
    if restarted:
        there = Registry(tmp_path / "there", object_store.url)
    assert there.refresh("project-3") == ""
    assert (copy.path / name).read_bytes() == whole
    checkpoint.load(copy.path)
    before = checkpoint.stamp(copy.path)
    there.refresh("project-3")
    assert checkpoint.stamp(copy.path) == before, "a whole copy is left alone"


def test_without_the_store_reading_goes_on_and_changes_are_refused(
    here: Registry,
    object_store: ObjectStore,
    net: torch.nn.Module,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    version = here.add("base", net, CARD)
    here.promote(version)
    object_store.stop()
    again = Registry(tmp_path / "here", object_store.url)  # as after a restart
    assert again.current("base") == version
    assert "EndpointConnectionError" in again.refresh("base")
    assert (
        again.lines() == ["base"]
        and again.versions("base") == [version]
        and again.names("base") == [version.name]
    )
    assert caplog.text.count("EndpointConnectionError") == 1, "told once, and left alone for a while"
    for change in (
        lambda: again.add("base", net, CARD),
        lambda: again.promote(version),
        lambda: again.prune("base"),
    ):
        with pytest.raises(StoreError, match=object_store.url):
            change()
    assert again.versions("base") == [version]
    assert not list(version.path.parent.glob(".tmp-*")), "nothing half-written is left"


def test_two_processes_that_copy_one_version_do_not_collide(
    here: Registry,
    object_store: ObjectStore,
    net: torch.nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = here.add("base", net, CARD)
    here.promote(version)
    one, other = (Registry(tmp_path / "shared", object_store.url) for _ in range(2))
    write = checkpoint.write_folder

    def late(folder: Path, files: dict[str, bytes]) -> None:
        monkeypatch.setattr(checkpoint, "write_folder", write)
        assert other.refresh("base") == ""  # the other process comes in between
        write(folder, files)

    monkeypatch.setattr(checkpoint, "write_folder", late)
    assert one.refresh("base") == ""
    current = one.current("base")
    assert current is not None and current == other.current("base")
    assert not list(current.path.parent.glob(".tmp-*"))


def test_the_packaged_weights_are_installed_once(here: Registry, there: Registry) -> None:
    assert here.ensure_base().name == there.ensure_base().name
    assert here.names("base") == [here.ensure_base().name]
