"""Where commands print tables: on standard output, to be read or piped on."""

from __future__ import annotations

from rich.console import Console

WIDE = 10_000  # columns: no line is that long


def output() -> Console:
    """Return a console that takes brackets in names as they are, and gives files and pipes whole lines."""
    console = Console(markup=False)
    if not console.is_terminal:
        console.width = WIDE
    return console
