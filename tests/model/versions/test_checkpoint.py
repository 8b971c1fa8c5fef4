"""Checkpoints: round trips, what is refused and in which words, atomic writing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.networks import NETWORKS
from model.versions import checkpoint
from model.versions.checkpoint import CheckpointError, UnreadableError
from tests.model.tiny_network import CARD, Tiny, network


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "tiny", Tiny)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "one", network(), CARD)
    return tmp_path / "one"


def test_round_trip(tmp_path: Path) -> None:
    net = network()
    net.train()
    net(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))  # batch norm statistics must survive too
    written = checkpoint.save(tmp_path / "deep" / "one", net, CARD)
    loaded, card = checkpoint.load(tmp_path / "deep" / "one")
    assert card == written == {**CARD, "created": card["created"], "sha256": card["sha256"]}
    data = (tmp_path / "deep" / "one" / "model.safetensors").read_bytes()
    assert card["sha256"] == hashlib.sha256(data).hexdigest()
    assert not loaded.training
    state = net.state_dict()
    assert state.keys() == loaded.state_dict().keys()
    assert all(torch.equal(state[key], value) for key, value in loaded.state_dict().items())
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["one"]


def test_same_weights_same_digest(tmp_path: Path) -> None:
    first, second, third = (
        checkpoint.save(tmp_path / str(i), network(seed), CARD)["sha256"] for i, seed in enumerate((0, 0, 1))
    )
    assert first == second != third


def test_an_existing_folder_is_replaced_as_a_whole(folder: Path) -> None:
    before = checkpoint.read_card(folder)
    (folder / "stray").write_text("of the old one")
    after = checkpoint.save(folder, network(1), CARD)
    assert checkpoint.load(folder)[1] == after != before
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _flip(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-5] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def _vouch(folder: Path, **changes: Any) -> None:
    """Let the card fit the weights file as it is now."""
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    card = json.loads((folder / "card.json").read_text()) | {"sha256": digest} | changes
    (folder / "card.json").write_text(json.dumps(card))


def _tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    _vouch(folder)


def _garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x02garbage")
    _vouch(folder)


CASES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (_truncate, "model.safetensors was cut short or altered"),
    "one bit": (_flip, "model.safetensors was cut short or altered"),
    "garbage": (_garbage, "model.safetensors is no safetensors file"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors cannot be read"),
    "no card": (lambda f: (f / "card.json").unlink(), "card.json cannot be read"),
    "card cut": (lambda f: (f / "card.json").write_text('{"size"'), "card.json is no JSON"),
    "card binary": (lambda f: (f / "card.json").write_bytes(b"\xff\xfe\x00"), "card.json is no JSON"),
    "card deep": (lambda f: (f / "card.json").write_text("[" * 100_000), "card.json is no JSON"),
    "metrics": (lambda f: _vouch(f, metrics=[1]), r"metrics is \[1\]; it must be an object"),
    "proposals": (lambda f: _vouch(f, proposals="x"), "proposals is 'x'; it must be an object"),
    "card list": (lambda f: (f / "card.json").write_text("[]"), "card.json holds no JSON object"),
    "NaN": (
        lambda f: _tensors(f, lambda t: t["head.bias"].fill_(torch.nan)),
        "head.bias holds NaN or infinite values",
    ),
    "infinite": (
        lambda f: _tensors(f, lambda t: t["head.weight"].mul_(torch.inf)),
        "head.weight holds NaN or infinite values",
    ),
    "key missing": (lambda f: _tensors(f, lambda t: t.pop("head.bias")), "head.bias is missing"),
    "key too many": (
        lambda f: _tensors(f, lambda t: t.update(other=torch.zeros(1))),
        "other has no place in the architecture",
    ),
    "shape": (
        lambda f: _tensors(f, lambda t: t.update({"head.bias": torch.zeros(2)})),
        r"head.bias has shape \(2,\)",
    ),
    "kind": (
        lambda f: _tensors(f, lambda t: t.update({"head.bias": torch.zeros(1, dtype=torch.int64)})),
        "head.bias has shape .*int64",
    ),
    "other network": (
        lambda f: _vouch(f, architecture={"name": "hrnet18s-ocr", "params": {}}),
        "use the card of these weights",
    ),
    "unknown network": (
        lambda f: _vouch(f, architecture={"name": "resnet99", "params": {}}),
        "unknown network 'resnet99'",
    ),
    "unknown parameter": (
        lambda f: _vouch(f, architecture={"name": "tiny", "params": {"depth": 3}}),
        "does not take these parameters",
    ),
    "more than memory holds": (
        lambda f: _vouch(f, architecture={"name": "deeplabv3plus-r34", "params": {"deeplab_ch": 10**9}}),
        "card.json: architecture: Storage size",
    ),
    "less than nothing": (
        lambda f: _vouch(f, architecture={"name": "deeplabv3plus-r34", "params": {"deeplab_ch": -5}}),
        "card.json: architecture: .*negative dimension",
    ),
    "no architecture": (
        lambda f: _vouch(f, architecture="lite0-fpn"),
        "architecture is 'lite0-fpn'; it must",
    ),
    "size": (lambda f: _vouch(f, size=100), "size is 100; it must be a multiple of 32"),
    "inference": (
        lambda f: _vouch(f, inference={"flip": 1}),
        "inference: flip is 1; it must be true or false",
    ),
    "later": (lambda f: _vouch(f, later=0), "later is 0; it must be a multiple of 32"),
    "closer": (lambda f: _vouch(f, closer="256"), "closer is '256'; it must be a multiple of 32"),
    "encoding": (
        lambda f: _vouch(f, encoding={"name": "star", "radius": 5}),
        "encoding is .*must be an object with a name .disk, ",
    ),
    "radius": (lambda f: _vouch(f, encoding={"name": "disk", "radius": -1}), "radius above 0"),
    "digest": (lambda f: _vouch(f, sha256="abc"), "sha256 is 'abc'; it must be 64 hex digits"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_said_in_one_sentence(case: str, folder: Path) -> None:
    spoil, complaint = CASES[case]
    spoil(folder)
    with pytest.raises(CheckpointError, match=complaint) as caught:
        checkpoint.load(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"size": 0}, "size is 0"),
        ({"architecture": {"name": "tiny", "params": {"width": 5}}}, "has shape"),
        ({"metrics": {"noc": float("nan")}}, "not plain JSON"),
        ({"training": {"folder": Path("x")}}, "not plain JSON"),
    ],
)
def test_nothing_is_written_that_could_not_be_loaded(
    change: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        checkpoint.save(tmp_path / "one", network(), CARD | change)
    assert not list(tmp_path.iterdir())


def test_diverged_weights_are_not_written(tmp_path: Path) -> None:
    net = network()
    with torch.no_grad():
        net.get_parameter("head.bias").fill_(torch.inf)
    with pytest.raises(CheckpointError, match=r"head\.bias holds NaN or infinite values"):
        checkpoint.save(tmp_path / "one", net, CARD)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["model.safetensors", "card.json"])
def test_a_disk_that_fails_is_told_from_a_damaged_file(name: str, folder: Path) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to("/proc/self/mem")  # reading it is an I/O error
    with pytest.raises(UnreadableError, match=f"{name} cannot be read now.*check the disk") as caught:
        checkpoint.load(folder)
    assert not isinstance(caught.value, ValueError)


def test_a_failed_copy_leaves_nothing(folder: Path) -> None:
    (folder / "card.json").unlink()
    with pytest.raises(CheckpointError, match=r"card\.json cannot be read"):
        checkpoint.copy(folder, folder.parent / "two")
    assert [p.name for p in folder.parent.iterdir()] == ["one"]


WRITER = """
import sys
from pathlib import Path
from model.versions import checkpoint
from tests.model.tiny_network import CARD, install, network
install()
net, number = network(), 0
print("ready", flush=True)
while True:
    checkpoint.save(Path(sys.argv[1]) / str(number), net, CARD)
    number += 1
"""


def test_a_killed_writer_leaves_no_half_checkpoint(tmp_path: Path) -> None:
    complete = 0
    for round_ in range(2):
        home = tmp_path / str(round_)
        home.mkdir()
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(home)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        while not list(home.glob("[0-9]*")):
            time.sleep(0.01)
        time.sleep(0.013 * round_)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for found in home.glob("[0-9]*"):
            checkpoint.load(found)
            complete += 1
    assert complete >= 2


def test_the_stamp_tells_replaced_files(folder: Path) -> None:
    before = checkpoint.stamp(folder)
    assert checkpoint.stamp(folder) == before
    checkpoint.copy(folder, folder.parent / "copy")
    (folder.parent / "copy" / "card.json").replace(folder / "card.json")
    assert checkpoint.stamp(folder) != before
    (folder / "card.json").unlink()
    assert checkpoint.stamp(folder)[1] is None
