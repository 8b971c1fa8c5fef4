"""The lines of a registry in a folder: `<root>/<line>/<ordinal>-<hash8>/`, a line being `base` or `project-<id>`.

The file `<line>/current` names the served version on its first line and the ones served before it on the next,
newest first; it is only ever replaced as a whole. Writers of one line take turns through a file lock, which the
system releases when a process dies; readers need none. Any file system with POSIX renames and locks will do, a
shared volume included.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from model.errors import ClickmaskError
from model.versions import checkpoint
from model.versions.checkpoint import CheckpointError

HISTORY = 20  # how many earlier served versions `current` remembers
STALE_S = 86400.0  # hidden folders of killed processes are removed after a day
LINE = re.compile(r"base|project-[0-9]+")

_VERSION = re.compile(r"([0-9]+)-([0-9a-f]{8})")

log = logging.getLogger(__name__)


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


class Folder:
    """The lines under `root`; safe to use from several processes and threads at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def lines(self) -> list[str]:
        """The lines there are, `base` first."""
        names = [path.name for path in self.root.iterdir() if path.is_dir()] if self.root.is_dir() else []
        return sorted(name for name in names if LINE.fullmatch(name))

    def names(self, line: str) -> list[str]:
        """The names of a line's versions, without a closer look at them."""
        return [version.name for version in self.versions(line)]

    def versions(self, line: str) -> list[Version]:
        """The versions of a line, usable or not, oldest first."""
        folder = self.path(line)
        found = [self.version(line, path.name) for path in (folder.iterdir() if folder.is_dir() else ())]
        return sorted((v for v in found if v is not None), key=lambda v: (v.ordinal, v.hash8))

    def survey(self, line: str) -> tuple[list[Version], dict[str, str]]:
        """The usable versions of a line, oldest first, and folder -> why another one is not usable."""
        good, bad = [], {}
        for version in self.versions(line):
            reason = _fault(version)
            if reason is None:
                good.append(version)
            elif version.path.is_dir():  # or else it was pruned under our eyes
                bad[version.path.name] = reason
        return good, bad

    def served(self, line: str) -> list[Version]:
        """The current version and those served before it, newest first, as far as they still exist."""
        names = self.pointer(line).split()
        versions = [self.version(line, name) for name in names]
        there = [v for v in versions if v is not None and v.path.is_dir()]
        if versions and (not there or there[0] != versions[0]):
            log.warning("line %s: version %s is promoted and does not exist", line, names[0])
        return there

    def refresh(self, line: str) -> str:
        """Learn what is promoted, where that is kept elsewhere; returns why it failed, or ""."""
        return ""

    def path(self, line: str) -> Path:
        """The folder of a line.

        Raises:
            RegistryError: that is no name of a line.
        """
        if not LINE.fullmatch(line):
            raise RegistryError(f"{line!r} is no line of models: use base or project-<id>")
        return self.root / line

    def hidden(self, line: str) -> Path:
        """A new name in the folder of a line that readers pass over."""
        return self.path(line) / f".tmp-{uuid.uuid4().hex}"

    def version(self, line: str, folder: str) -> Version | None:
        """The version that a folder's name stands for."""
        match = _VERSION.fullmatch(folder)
        return Version(line, int(match[1]), match[2], self.path(line) / folder) if match else None

    def pointer(self, line: str) -> str:
        """The text of `current`."""
        try:
            return (self.path(line) / "current").read_text()
        except FileNotFoundError:
            return ""

    def point(self, line: str, served: list[Version]) -> None:
        """Replace `current`; the caller holds the lock."""
        self._write_pointer(line, pointer_text(served))

    def place(self, hidden: Path, version: Version) -> None:
        """Give a complete hidden folder its name; the caller holds the lock."""
        os.rename(hidden, version.path)
        checkpoint.sync_folder(version.path.parent)

    def remove(self, version: Version) -> None:
        """Remove a version; the caller holds the lock."""
        hidden = self.hidden(version.line)
        os.rename(version.path, hidden)  # readers see all of it or nothing
        shutil.rmtree(hidden, ignore_errors=True)

    def sweep(self, line: str) -> None:
        """Remove what killed processes left behind."""
        for path in self.path(line).glob(".*-*"):
            with suppress(FileNotFoundError):  # writers at work rename theirs meanwhile
                if time.time() - path.stat().st_mtime < STALE_S:
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    @contextmanager
    def lock(self, line: str) -> Iterator[None]:
        """Held by whoever changes a line."""
        folder = self.path(line)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write_pointer(self, line: str, text: str) -> None:
        folder = self.path(line)
        hidden = folder / f".current-{uuid.uuid4().hex}"
        with open(hidden, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, folder / "current")
        checkpoint.sync_folder(folder)


def pointer_text(served: list[Version]) -> str:
    """What `current` says of the versions served, newest first."""
    return "".join(f"{version.path.name}\n" for version in served[: HISTORY + 1])


def _fault(version: Version) -> str | None:
    """Why a version cannot be used, as far as a quick look tells; None where it looks good."""
    try:
        card = checkpoint.read_card(version.path)
    except CheckpointError as error:
        return str(error)
    if not (version.path / checkpoint.WEIGHTS).is_file():
        return f"{version.path / checkpoint.WEIGHTS} is missing; copy the folder again"
    if not card["sha256"].startswith(version.hash8):
        return f"{version.path / checkpoint.CARD} is the card of other weights; copy the folder again"
    return None
