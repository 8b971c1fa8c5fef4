"""Numbers on the command line."""

from __future__ import annotations

import click


def counts(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, ...]:
    """Read whole numbers above 0, for options: ``1,8,32`` -> (1, 8, 32); nothing -> ()."""
    words = text.split(",") if text else []
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise click.BadParameter(f"{text!r}: write numbers with commas between them, such as 32,64,96")
    return tuple(map(int, words))
