"""`clickmask doctor`: its output and exit status; what it finds is tested with its checks."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from backend.cli import main


def doctor(home: Path, *arguments: str) -> Result:
    environment = {
        "CLICKMASK_HOME": str(home),
        "CLICKMASK_DEVICE": "cpu",
        "CLICKMASK_REDIS_URL": "",
        "LABEL_STUDIO_URL": "",
    }
    return CliRunner().invoke(main, ["doctor", "--url", "http://127.0.0.1:1", *arguments], env=environment)


def test_every_finding_is_a_line_and_a_failure_is_the_exit_status(home: Path) -> None:
    result = doctor(home)
    assert result.exit_code == 1
    levels = [line.split()[0] for line in result.stdout.splitlines()]
    assert levels == ["OK", "WARN", "OK", "FAIL", "FAIL"]  # the package brings another model
    assert "LABEL_STUDIO_URL is not set" in result.stdout


def test_json_is_for_scripts(home: Path) -> None:
    result = doctor(home, "--json")
    found = json.loads(result.stdout)
    assert [entry["subject"] for entry in found] == ["model", "model", "redis", "backend", "label studio"]
    assert set(found[0]) == {"level", "subject", "text"}
    assert result.exit_code == 1
