"""What the drills found: a table for the end of the output, and for docs/reliability.md."""

from __future__ import annotations

ROWS: list[tuple[str, str, str]] = []


def note(fault: str, happens: str, measured: str) -> None:
    """Add a row: the fault, what happens then, and what was measured."""
    ROWS.append((fault, happens, measured))


def table() -> str:
    """Return the rows as a table in Markdown."""
    rows = [("fault", "what happens", "measured"), ("---",) * 3, *ROWS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
