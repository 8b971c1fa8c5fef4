"""`clickmask serve` hands its settings to the server; tests/backend/web/test_server.py runs one."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.cli import main
from backend.settings import Settings
from backend.web import server


def test_it_serves_with_the_settings_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Settings] = []
    monkeypatch.setattr(server, "run", served.append)
    environment = {"CLICKMASK_HOME": str(tmp_path), "CLICKMASK_PORT": "9191", "CLICKMASK_WORKERS": "3"}
    result = CliRunner().invoke(main, ["serve"], env=environment)
    assert result.exit_code == 0, result.output
    assert [(each.port, each.workers, each.home) for each in served] == [(9191, 3, tmp_path)]
