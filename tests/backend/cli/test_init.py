"""Threads of torch, which counts cores and asks for no quota: set before it is imported."""

from __future__ import annotations

import os

import pytest

from backend import cli


@pytest.mark.parametrize(
    ("granted", "before", "wanted"), [(1.5, None, "2"), (1.5, "7", "7"), (None, None, None)]
)
def test_a_quota_bounds_them(
    granted: float | None, before: str | None, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", before or "")  # put back in the end
    if before is None:
        del os.environ["OMP_NUM_THREADS"]
    monkeypatch.setattr(cli, "quota", lambda: granted)
    monkeypatch.setattr(cli, "cores", lambda: 2)
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert os.environ.get("OMP_NUM_THREADS") == wanted
