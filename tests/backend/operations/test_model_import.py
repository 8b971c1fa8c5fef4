"""From an official file to a version; more of it is tested with the command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from backend.operations import model_import
from backend.operations.model_import import import_official, public
from model.networks import build
from model.versions import checkpoint
from model.versions.checkpoint import CheckpointError
from model.versions.registry import Registry
from tests.model.official_checkpoints import HRNET, ITERATIVE, config, pickled_in_zip, weights_of, write

SOURCE = {"address": "https://example.org/h18s.pth", "sha256": "0" * 64}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = config(HRNET, width=18, ocr_width=48, small=True, **ITERATIVE)
    return write(tmp_path_factory.mktemp("official") / "x.pth", weights_of(build("hrnet18s-ocr")), settings)


def test_a_version_answers_as_the_file(official: Path, tmp_path: Path) -> None:
    version = import_official(Registry(tmp_path), "base", official, SOURCE, 96, "hrnet18s-ocr")
    network, card = checkpoint.load(version.path)
    assert (card["size"], card["source"]) == (96, SOURCE)
    wanted = weights_of(build("hrnet18s-ocr"))
    assert all(torch.equal(value, wanted[key]) for key, value in network.state_dict().items())


def test_what_was_written_is_compared_with_what_was_read(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(_: Path) -> tuple[nn.Module, dict[str, object]]:
        torch.manual_seed(0)
        return build("hrnet18s-ocr").eval(), {}

    monkeypatch.setattr(model_import.checkpoint, "load", other)
    with pytest.raises(CheckpointError, match=r"answers differently from https://example.org/h18s.pth"):
        import_official(Registry(tmp_path), "base", official, SOURCE, 96)


def test_messages_name_the_address(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"^https://example.org/h18s.pth is no torch checkpoint"):
        import_official(Registry(tmp_path), "base", tmp_path / "x.pth", SOURCE)


@pytest.mark.parametrize(
    ("pickled", "complaint"),
    [
        (
            b"}" + b")" + b"q\x00h\x00\x86" * 60 + b"K\x01s.",
            "takes more time or memory",
        ),  # hashed 2 ** 60 times
        (b"}" + b")" + b"\x85" * 200_000 + b"K\x01s.", "takes more time or memory"),  # deeper than the stack
        (b"cbuiltins\nbytearray\n\x8a\x05" + (64 << 30).to_bytes(5, "little") + b"\x85R.", "is damaged"),
    ],
    ids=["time", "depth", "memory"],
)
def test_a_few_bytes_do_not_take_all_time_or_memory(
    pickled: bytes, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_import, "READING_CPU_S", 2)
    path = pickled_in_zip(tmp_path / "x.pth", b"\x80\x02" + pickled)
    with pytest.raises(CheckpointError, match=rf"^https://example.org/h18s.pth .*{complaint}"):
        import_official(Registry(tmp_path), "base", path, SOURCE)


def test_addresses_are_told_without_secrets() -> None:
    assert public("https://me:word@example.org/a/x.pth?token=abc#b") == "https://example.org/a/x.pth"
    assert public("models/x.pth") == "models/x.pth"
