"""An engine, the images' bases and a checkout for the trial; what it measured is printed at its end."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.operations.supervisor import free_port
from tests.containers.engine import engine
from tests.containers.stack import FACTS, ROOT, Stack, checkout
from tests.containers.standins import standins

LABEL_STUDIO = ROOT / ".venv-labelstudio"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FACTS:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(FACTS))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The services, not yet built; whatever becomes of the trial, they are taken down and nothing is left."""
    with tempfile.TemporaryDirectory(prefix="clickmask-trial-") as name, contextlib.ExitStack() as parts:
        folder = Path(name)
        try:
            own = parts.enter_context(engine(folder))
        except (RuntimeError, OSError) as error:
            pytest.skip(f"THE CONTAINERS ARE NOT TRIED: {error}")
        place, override = checkout(folder / "checkout"), None
        if own:
            try:
                override = parts.enter_context(standins(folder, place, LABEL_STUDIO))
            except RuntimeError as error:  # of Debian's mirror, most of the time
                pytest.skip(f"THE CONTAINERS ARE NOT TRIED: base images cannot be made: {error}")
        services = Stack(place, override, free_port())
        parts.callback(services.compose, "down", "--volumes", "--timeout", "3")
        yield services
