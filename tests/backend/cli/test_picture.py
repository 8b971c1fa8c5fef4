"""Pictures of other formats are refused by every command that draws some, before it does anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.cli import main


@pytest.mark.parametrize("name", ["worst", "worst.txt"])
@pytest.mark.parametrize("command", [("review", "3"), ("evaluate",)])
def test_other_formats_are_refused_at_once(tmp_path: Path, command: tuple[str, ...], name: str) -> None:
    nobody = {"CLICKMASK_HOME": str(tmp_path), "LABEL_STUDIO_URL": "http://127.0.0.1:1"}
    done = CliRunner().invoke(main, [*command, "--sheet", str(tmp_path / name)], env=nobody)
    assert done.exit_code == 2 and "pictures are written as .png or .svg" in done.output
    assert list(tmp_path.iterdir()) == []
