"""Class and options out of a config, and their checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.versions.checkpoint import CheckpointError
from model.versions.official.config import Config


def parsed(**params: Any) -> Config:
    return Config.parse({"class": "a.b.Kind", "params": params}, Path("x.pth"))


def test_options_with_and_without_notes() -> None:
    config = parsed(width={"type": "builtin", "value": 18, "specified": True}, small=True)
    assert config.kind == "Kind"
    assert config.options == {"width": 18, "small": True}
    assert config.printable() == {"class": "Kind", "width": "18", "small": "True"}


@pytest.mark.parametrize(
    "raw", [{}, {"class": "a.B"}, {"class": 3, "params": {}}, {"class": "a.B", "params": []}]
)
def test_without_class_and_params(raw: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="x.pth: config has no class and params"):
        Config.parse(raw, Path("x.pth"))


def test_encoding() -> None:
    assert parsed().encoding(260) == {"name": "distance", "radius": 260.0}
    assert parsed(use_disks=True, norm_radius=5).encoding(260) == {"name": "disk", "radius": 5.0}
    for radius in (0, -1, "5", None, float("inf"), float("nan")):
        with pytest.raises(CheckpointError, match="norm_radius is .* must be a number above 0"):
            parsed(norm_radius=radius).encoding(260)


def test_norm() -> None:
    assert parsed(norm_mean_std=[[1, 2, 3], (4, 5, 6)]).norm() == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    for value in (
        None,
        [1, 2],
        [[1, 2], [3, 4]],
        [[1, 2, 3], [1, 1, -1]],
        [[1, 2, 3], ["a", "b", "c"]],
        [[]] * 3,
    ):
        with pytest.raises(CheckpointError, match="norm_mean_std is"):
            parsed(norm_mean_std=value).norm()


def test_counts() -> None:
    config = parsed()
    assert config.count("depth", 12) == 12
    assert config.counts("sides", (1, 2), 2) == (1, 2)
    for value in (0, -3, 4097, 1.0, True, "12", None):
        with pytest.raises(CheckpointError, match="depth is .*; it must be a whole number from 1 to 4096"):
            config.count("depth", value)
    for value in ((1,), 3, "ab", [1, 0]):
        with pytest.raises(CheckpointError, match="sides"):
            config.counts("sides", value, 2)
