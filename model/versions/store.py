"""What a registry keeps its lines in: the names of lines and versions, and what every store can do."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model.errors import ClickmaskError

HISTORY = 20  # how many earlier served versions `current` remembers
LINE = re.compile(r"base|project-[0-9]+")
FOLDER = re.compile(r"([0-9]+)-([0-9a-f]{8})")


class RegistryError(ClickmaskError, ValueError):
    """The registry has no such line or version, or the step makes no sense; the message says what to do."""


@dataclass(frozen=True)
class Version:
    """One version of a line: `path` is a checkpoint folder, `hash8` begins the sha256 of its weights."""

    line: str
    ordinal: int
    hash8: str
    path: Path

    @property
    def name(self) -> str:
        """As shown in Label Studio: `<line>-<ordinal>-<hash8>`."""
        return f"{self.line}-{self.ordinal}-{self.hash8}"


def pointer_text(served: list[Version]) -> str:
    """Write the text of `current`: the folders of the versions served, newest first, one a line."""
    return "".join(f"{version.path.name}\n" for version in served[: HISTORY + 1])


class Store(Protocol):
    """Keeps the lines of a registry; safe to use from several processes and threads at once.

    Attributes:
        root: the folder with the lines, or with the copies of them that are on this machine's disk.
    """

    @property
    def root(self) -> Path:
        """See above."""
        ...

    def lines(self) -> list[str]:
        """List the lines there are, `base` first."""
        ...

    def names(self, line: str) -> list[str]:
        """List the names of a line's versions, without a closer look at them."""
        ...

    def survey(self, line: str) -> tuple[list[Version], dict[str, str]]:
        """Check a line: its usable versions, oldest first, and folder -> why another one is not usable."""
        ...

    def served(self, line: str) -> list[Version]:
        """List the current version and those served before it, newest first, as far as they still exist."""
        ...

    def refresh(self, line: str) -> str:
        """Learn what is promoted, where that is kept elsewhere; return why it failed, or ""."""
        ...

    def hidden(self, line: str) -> Path:
        """Make up a new name in the folder of a line that readers pass over."""
        ...

    def version(self, line: str, folder: str) -> Version | None:
        """Return the version that a folder's name stands for."""
        ...

    def lock(self, line: str) -> AbstractContextManager[None]:
        """Hold back everybody else who changes the line."""
        ...

    def place(self, hidden: Path, version: Version) -> None:
        """Give a complete hidden folder its name; the caller holds the lock."""
        ...

    def point(self, line: str, served: list[Version]) -> None:
        """Replace `current`; the caller holds the lock."""
        ...

    def remove(self, version: Version) -> None:
        """Remove a version; the caller holds the lock."""
        ...

    def sweep(self, line: str) -> None:
        """Remove what killed processes left behind."""
        ...
