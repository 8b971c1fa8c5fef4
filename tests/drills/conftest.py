"""An installation for each file of drills; the table of results is printed at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drills import results
from tests.drills.installation import Installation


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if results.ROWS:
        terminalreporter.section("what the drills found")
        terminalreporter.write_line(results.table())


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """Redis, web server and worker, all of them running; at the end every accepted annotation must be counted."""
    folder = Path(tempfile.mkdtemp(prefix="cm"))  # short, for the sake of Unix sockets
    found = Installation(folder)
    found.start()
    yield found
    found.close()
    shutil.rmtree(folder, ignore_errors=True)
