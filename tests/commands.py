"""Commands of clickmask as an operator starts them: processes of their own, with the code of this clone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from backend.operations.supervisor import spawn

ROOT = Path(__file__).parents[1]


def run(environment: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `clickmask ARGUMENTS` to its end; `environment` is added to this process's own."""
    command, variables = _process(environment, arguments)
    return subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=600)


def start(environment: Mapping[str, str], log: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """Start `clickmask ARGUMENTS` in a session of its own; its output is appended to a file."""
    command, variables = _process(environment, arguments)
    return spawn(command, variables, log)


def _process(
    environment: Mapping[str, str], arguments: tuple[object, ...]
) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-m", "backend.cli", *map(str, arguments)]
    return command, {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
