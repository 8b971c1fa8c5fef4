"""`clickmask demo` where it cannot begin; tests/e2e/test_operation.py runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.cli import main
from backend.cli.running import demo
from backend.operations.label_studio_server import LabelStudioServer
from backend.settings import Settings


def test_without_label_studio_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLICKMASK_LABEL_STUDIO", raising=False)
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "a/b/c/demo.py"))
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "run `make demo`" in result.output


def test_a_label_studio_that_ends_at_once_is_shown_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "label-studio"
    broken.write_text("#!/bin/sh\necho 'no database here'\nexit 3\n")
    broken.chmod(0o755)
    home = {"CLICKMASK_HOME": str(tmp_path / "home"), "CLICKMASK_DEVICE": "cpu"}
    result = CliRunner().invoke(main, ["demo", "--label-studio", str(broken)], env=home)
    assert result.exit_code == 1
    assert "no database here" in result.output
    assert "Traceback" not in result.output


def test_nothing_of_another_installation_is_touched(tmp_path: Path) -> None:
    """Its projects have the numbers of the demo's: what that one learns would be served there."""
    other = Settings(
        home=tmp_path,
        registry="s3://models/clickmask",
        redis_url="redis://redis.example",
        label_studio_url="http://studio.example",
        label_studio_api_key="a" * 40,
    )
    studio = LabelStudioServer(tmp_path / "label-studio", tmp_path / "studio")
    own = demo.own_settings(other, studio, tmp_path / "demo")
    assert (own.home, own.registry, own.redis_url) == (tmp_path / "demo", None, None)
    assert (own.label_studio_url, own.label_studio_api_key) == (studio.url, studio.token)
