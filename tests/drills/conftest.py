"""An installation for each file of drills; the table of results is printed at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backend.worker_home import PATIENCE_S
from tests.drills import results
from tests.drills.installation import Installation, installed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A drill waits for several things, for one job after another most of the time."""
    for item in items:
        if item.path.name.startswith("drill_"):
            item.add_marker(pytest.mark.timeout(3 * PATIENCE_S))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if results.ROWS:
        terminalreporter.section("what the drills found")
        terminalreporter.write_line(results.table())


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """Redis, web server and worker, all of them running; at the end every accepted annotation must be counted."""
    with installed() as found:
        yield found
