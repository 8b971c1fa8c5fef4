"""An installation for each file of drills; the table of results is printed at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drills import results
from tests.drills.installation import Installation, installed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if results.ROWS:
        terminalreporter.section("what the drills found")
        terminalreporter.write_line(results.table())


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """Redis, web server and worker, all of them running; at the end every accepted annotation must be counted."""
    with installed() as found:
        yield found
