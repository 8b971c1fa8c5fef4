"""Files by unknown hands: read without running anything, or refused with a sentence."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from model.versions.checkpoint import CheckpointError
from model.versions.official import torch_file
from model.versions.official.torch_file import Inert
from tests.model.official_checkpoints import LOSS, pickled_in_zip, vit_config, write

STATE = {"a.weight": torch.arange(6.0).view(2, 3)}
PLAIN = {"class": "a.B", "params": {"width": 18}}


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file that hostile pickles would make."""
    return tmp_path / "trace"


def assert_refused(path: Path, complaint: str) -> None:
    with pytest.raises(CheckpointError, match=f"{path.name}.*{complaint}"):
        torch_file.read(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_and_plain_values_come_back(zipped: bool, tmp_path: Path) -> None:
    config = {
        "class": "a.B",
        "params": {"n": [1, 2.5, None, True, "x"], "pair": (3, 4), "none": set(), "sorted": OrderedDict(a=1)},
    }
    state = OrderedDict(
        STATE | {"p": nn.Parameter(torch.ones(2)), "half": torch.ones(1, dtype=torch.float16)}
    )
    torch.save(
        {"state_dict": state, "config": config}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped
    )
    read, settings = torch_file.read(tmp_path / "x.pth")
    assert settings == config
    assert list(read) == ["a.weight", "p", "half"]
    assert torch.equal(read["a.weight"], STATE["a.weight"])


def test_the_objects_of_official_files_come_back_as_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth", STATE, vit_config())
    assert LOSS.encode() in path.read_bytes()  # it is a real pickled object
    _, config = torch_file.read(path)
    loss = config["params"]["head_params"]["value"]["loss_decode"]
    assert type(loss) is Inert
    assert not hasattr(loss, "__dict__")
    assert str(loss) == "(an object that was not read)"


def hostile(trace: Path) -> dict[str, Any]:
    """Contents that would run something, and what is named in the refusal."""
    system = Calls(os.system, f"touch {trace}")
    evaluated = Calls(builtins.eval, f"open({str(trace)!r}, 'w')")
    inside = vit_config()
    inside["params"]["head_params"]["value"]["loss_decode"] = system
    return {
        "posix.system": {"state_dict": STATE, "config": PLAIN, "extra": system},
        "eval": {"state_dict": STATE, "config": {**PLAIN, "params": {"width": evaluated}}},
        "posix.system, in the loss": {"state_dict": STATE, "config": inside},
        "posix.system, in the weights": {"state_dict": STATE | {"b.weight": system}, "config": PLAIN},
        "exec": {"state_dict": Calls(exec, f"open({str(trace)!r}, 'w')"), "config": PLAIN},
        "builtins.getattr": Calls(getattr, Calls(__import__, "os"), "system"),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", list(hostile(Path("x"))))
def test_code_is_refused_and_not_run(name: str, zipped: bool, tmp_path: Path, trace: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        content = hostile(trace)[name]
        patch.setattr(pickle, "DEFAULT_PROTOCOL", 2)
        torch.save(content, tmp_path / "bad.pth", _use_new_zipfile_serialization=zipped)
    assert_refused(tmp_path / "bad.pth", "holds Python code or objects .*never loaded")
    assert not trace.exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_plain_pickles_are_refused_and_not_run(protocol: int, tmp_path: Path, trace: Path) -> None:
    content = {"state_dict": {}, "config": Calls(os.system, f"touch {trace}")}
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(content, protocol))
    assert_refused(tmp_path / "bad.pth", "")
    assert not trace.exists()


@pytest.mark.parametrize(
    "call",
    [
        b"cos\nsystem\n",
        b"cposix\nsystem\n",
        b"cnt\nsystem\n",
        b"c__builtin__\neval\n",
        b"cbuiltins\neval\n",
        b"ctorch.hub\nload\n",
        b"ctorch\nload\n",
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"cisegm.model.modeling.transformer_helper.cross_entropy_loss\nanything\n",
        b"cisegm.model.is_plainvit_model\nPlainVitModel\n",
    ],
)
def test_every_other_name_is_refused(call: bytes, tmp_path: Path) -> None:
    name = ".".join(part.decode() for part in call[1:].split())
    path = pickled_in_zip(tmp_path / "bad.pth", b"\x80\x02" + call + b"X\x04\x00\x00\x00true\x85R.")
    shown = name.replace("__builtin__.", "").replace("builtins.", "")
    assert_refused(path, rf"holds Python code or objects \(.*{shown.rpartition('.')[2]}\)")


def test_stand_ins_do_nothing_whatever_they_are_given(tmp_path: Path, trace: Path) -> None:
    """The file calls the stand-in with a command, and sets state on what comes of it."""
    command = f"touch {trace}".encode()
    text = b"X" + len(command).to_bytes(4, "little") + command
    names = LOSS.encode()
    loss = b"c" + names + b"\ncross_entropy\n" + text + b"\x85R" + b"}" + text + text + b"sb"
    config = (
        b"}X\x05\x00\x00\x00classX\x03\x00\x00\x00a.BsX\x06\x00\x00\x00params}X\x01\x00\x00\x00n"
        + loss
        + b"ss"
    )
    data = b"\x80\x02}X\x0a\x00\x00\x00state_dict}sX\x06\x00\x00\x00config" + config + b"s."
    _, read = torch_file.read(pickled_in_zip(tmp_path / "x.pth", data))
    assert type(read["params"]["n"]) is Inert
    assert not trace.exists()


def test_other_objects_are_no_plain_values(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    many: Any = "x"
    for _ in range(30):
        many = [many] * 10  # ten to the thirtieth of them, in a few bytes
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    for value in (torch.ones(1), torch.float32, deep, many, cyclic, {1: 2}, "x" * 20_000, b"x", 1j):
        torch.save({"state_dict": {}, "config": {"class": "a.B", "params": {"n": value}}}, tmp_path / "x.pth")
        assert_refused(tmp_path / "x.pth", "config does not hold a few plain values alone")


def test_other_tensors_are_no_weights(tmp_path: Path) -> None:
    sparse, meta = torch.eye(2).to_sparse(), torch.ones(2, device="meta")
    for value in ({"a": 1}, {"a": sparse}, {"a": meta}, {1: torch.ones(1)}, [torch.ones(1)], None):
        torch.save({"state_dict": value, "config": PLAIN}, tmp_path / "x.pth")
        assert_refused(tmp_path / "x.pth", "state_dict does not hold dense tensors by name")


def test_tensors_that_repeat_their_numbers_are_refused(tmp_path: Path) -> None:
    """A few bytes would become a network that takes all memory."""
    state = {"a": torch.ones(1).expand(4096, 4096)}
    torch.save({"state_dict": state, "config": PLAIN}, tmp_path / "x.pth")
    assert (tmp_path / "x.pth").stat().st_size < 10_000
    assert_refused(tmp_path / "x.pth", "its tensors hold more than the file's")


def test_without_state_and_config(tmp_path: Path) -> None:
    for content in ({"state_dict": STATE}, {"config": PLAIN}, [1, 2], STATE["a.weight"]):
        torch.save(content, tmp_path / "x.pth")
        assert_refused(tmp_path / "x.pth", "has no state_dict and config")


def good() -> bytes:
    file = io.BytesIO()
    torch.save({"state_dict": {"a": torch.ones(3000)}, "config": PLAIN}, file)
    return file.getvalue()


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "bad.pth", good()
    cases = {
        whole[: len(whole) // 2]: "is damaged",
        whole[:-30]: "is damaged",
        b"": "is damaged",
        b"just some text " * 9: "is damaged",
        b"PK\x05\x06" + bytes(18): "is damaged",
        b"\n<!doctype html><html>": "is a web page",
    }
    for content, complaint in cases.items():
        path.write_bytes(content)
        assert_refused(path, complaint)
    with pytest.raises(CheckpointError, match="cannot be read"):
        torch_file.read(tmp_path / "missing.pth")
    with pytest.raises(CheckpointError, match="cannot be read"):
        torch_file.read(tmp_path)


def test_any_cut_is_refused_or_harmless(tmp_path: Path) -> None:
    path, whole = tmp_path / "bad.pth", good()
    for end in range(0, len(whole), 997):
        path.write_bytes(whole[:end])
        assert_refused(path, "")


def test_zip_bombs_are_refused(tmp_path: Path) -> None:
    """A small file that unpacks to a large one."""
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps({}, 2))
        archive.writestr("x/data/0", bytes(100 << 20))
    assert path.stat().st_size < 1 << 20
    assert_refused(path, "is packed")


def test_parts_that_claim_more_than_the_file_holds_are_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "claims.pth", good()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        size = max(part.file_size for part in archive.infolist())
    for claimed in (1 << 20, 0xFFFFFF00):
        path.write_bytes(whole.replace(size.to_bytes(4, "little"), claimed.to_bytes(4, "little")))
        assert_refused(path, "is packed, or says it holds more than")


@pytest.mark.parametrize("count", [500, 1 << 20, 1 << 45])
def test_tensors_that_claim_more_than_the_file_are_refused(count: int, tmp_path: Path) -> None:
    """A pickle that says its storage holds more numbers than the whole file has bytes for."""
    number = b"\x8a\x08" + count.to_bytes(8, "little")
    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        + number
        + b"tQ"
    )
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\x00"
        + number
        + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    )
    config = b"}X\x05\x00\x00\x00classX\x03\x00\x00\x00a.BsX\x06\x00\x00\x00params}s"
    data = (
        b"\x80\x02}X\x0a\x00\x00\x00state_dict}X\x01\x00\x00\x00a"
        + tensor
        + b"ssX\x06\x00\x00\x00config"
        + config
    )
    assert_refused(pickled_in_zip(tmp_path / "x.pth", data + b"s."), "is damaged")
