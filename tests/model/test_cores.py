"""Cores: as many as a container's quota pays for, of either version of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from model import cores
from model.cores import quota


def drawn(folder: Path, own: str, files: dict[str, str]) -> float | None:
    """The quota where these files are."""
    (folder / "own").write_text(own)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return quota(folder, folder / "own")


V1 = "5:cpuset:/docker/ab\n3:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab\n"


@pytest.mark.parametrize(
    ("own", "files", "wanted"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "400000 100000", "cpu.max": "9 1"}, 4.0),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 0.5),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, None),
        ("nothing of the kind", {"cpu.max": "1 1"}, None),
        ("0::/\n", {"cpu.max": "a few"}, None),
        ("0::/\n", {"cpu.max": "100000 0"}, None),
    ],
)
def test_quotas(own: str, files: dict[str, str], wanted: float | None, tmp_path: Path) -> None:
    assert drawn(tmp_path, own, files) == wanted


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert quota(tmp_path, tmp_path / "none") is None


@pytest.mark.parametrize(("granted", "wanted"), [(None, 64), (1.5, 2), (0.1, 1), (99.0, 64)])
def test_the_smaller_of_quota_and_cores_counts(
    granted: float | None, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(cores, "quota", lambda: granted)
    assert cores.cores() == wanted
