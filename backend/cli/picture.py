"""A picture on the command line, of a format that figures are written in."""

from __future__ import annotations

from pathlib import Path

import click


def as_picture(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse other formats at once, not after minutes of work; for `click.option(callback=)`."""
    if path is not None and path.suffix.lower() not in (".png", ".svg"):
        raise click.BadParameter(f"{path}: pictures are written as .png or .svg")
    return path
