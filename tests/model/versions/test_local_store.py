"""Lines in a folder: damage, leftovers, and several processes at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from model.versions import checkpoint
from model.versions.registry import Registry, RegistryError
from model.versions.store import HISTORY
from tests.model.tiny_network import CARD, network


def test_prune_sweeps_up_after_killed_writers(store: Registry, net: torch.nn.Module) -> None:
    version = store.add("base", net, CARD)
    leftovers = [store.root / "base" / name for name in (".tmp-0", ".current-0")]
    leftovers[0].mkdir()
    leftovers[1].touch()
    store.prune("base")
    assert all(path.exists() for path in leftovers)  # a writer may still be at work
    for path in leftovers:
        os.utime(path, (0, 0))
    store.prune("base")
    assert not any(path.exists() for path in leftovers)
    assert store.versions("base") == [version]


@pytest.mark.parametrize("line", ["", "..", "project-", "project-x", "base/1", "other"])
def test_lines_have_fixed_names(line: str, store: Registry, net: torch.nn.Module) -> None:
    with pytest.raises(RegistryError, match="use base or project-<id>"):
        store.add(line, net, CARD)
    with pytest.raises(RegistryError, match="use base or project-<id>"):
        store.current(line)


def test_broken_versions_are_left_out(
    store: Registry, net: torch.nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    versions = [store.add("base", net, CARD) for _ in range(4)]
    (versions[0].path / "card.json").write_text("{")
    (versions[1].path / "model.safetensors").unlink()
    checkpoint.save(versions[2].path, network(1), CARD)  # other weights under the old name
    (store.root / "base" / "notes.txt").write_text("a stray file")
    assert store.versions("base") == [versions[3]]
    assert "is left out" in caplog.text
    broken = store.broken("base")
    reasons = [broken[v.path.name] for v in versions[:3]]
    assert [
        word in reason for word, reason in zip(("no JSON", "missing", "other weights"), reasons, strict=True)
    ]
    assert len(broken) == 3
    assert store.add("base", net, CARD).ordinal == 5


def test_a_lost_version_gives_way_to_the_one_before(
    store: Registry, net: torch.nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = store.add("base", net, CARD), store.add("base", net, CARD)
    store.promote(one)
    store.promote(two)
    two.path.rename(store.root / "elsewhere")
    assert store.current("base") == one
    assert f"version {two.path.name} is promoted and does not exist" in caplog.text
    pointer = store.root / "base" / "current"
    for content in ("", "nonsense\n../../x\n"):
        pointer.write_text(content)
        assert store.current("base") is None


ADDER = """
import sys
from pathlib import Path
from model.versions.registry import Registry
from tests.model.tiny_network import CARD, install, network
install()
store, net = Registry(Path(sys.argv[1])), network(int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[3])):
    store.promote(store.add("base", net, CARD))
    store.prune("base", keep=100)
"""


def start(home: Path, seed: int, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", ADDER, str(home), str(seed), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> int:
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()
    return process.wait()


def test_several_processes_add_and_promote_at_once(
    store: Registry, net: torch.nn.Module, tmp_path: Path
) -> None:
    processes = [start(tmp_path, seed, 10) for seed in range(3)]
    for process in processes:
        go(process)
    while any(process.poll() is None for process in processes):
        current = store.current("base")  # a reader never meets a half-written pointer or version
        if current is not None:
            checkpoint.load(current.path)
        time.sleep(0.002)
    assert [end(process) for process in processes] == [0, 0, 0]
    versions = store.versions("base")
    assert [v.ordinal for v in versions] == list(range(1, 31))
    assert not store.broken("base")
    served = (store.root / "base" / "current").read_text().split()
    assert served == list(dict.fromkeys(served)) and len(served) == HISTORY + 1


def test_a_killed_writer_leaves_no_half_version_and_no_lock(
    store: Registry, net: torch.nn.Module, tmp_path: Path
) -> None:
    for round_ in range(2):
        process = start(tmp_path, round_, 1000)
        go(process)
        before = len(store.versions("base"))
        while len(store.versions("base")) == before:
            time.sleep(0.005)
        time.sleep(0.007 * round_)
        os.kill(process.pid, signal.SIGKILL)
        end(process)
        assert not store.broken("base")
        for version in store.versions("base"):
            checkpoint.load(version.path)
        current = store.current("base")
        assert current is None or current in store.versions("base")
    last = store.versions("base")[-1].ordinal
    assert store.add("base", net, CARD).ordinal == last + 1  # the lock went with its holder


def test_a_damaged_pointer_promotes_nothing(store: Registry, net: torch.nn.Module) -> None:
    version = store.add("base", net, CARD)
    (version.path.parent / "current").write_bytes(b"\xff\xfe")
    assert store.current("base") is None


def test_a_file_in_the_place_of_the_folder_is_no_empty_registry(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        Registry(tmp_path / "file" / "registry").lines()
    assert Registry(tmp_path / "none").lines() == []
