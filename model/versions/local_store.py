"""The lines of a registry in a folder: `<root>/<line>/<ordinal>-<hash8>/`, a line being `base` or `project-<id>`.

The file `<line>/current` names the served version on its first line and the ones served before it on the next,
newest first; it is only ever replaced as a whole. Writers of one line wait for each other at a file lock, which the
system releases when a process dies; readers need none. Any file system with POSIX renames and locks will do, a
shared volume included.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.versions import checkpoint
from model.versions.checkpoint import CheckpointError, UnreadableError
from model.versions.store import FOLDER, LINE, RegistryError, Version, pointer_text

STALE_S = 86400.0  # hidden folders of killed processes are removed after a day

logger = logging.getLogger(__name__)


class LocalStore:
    """Keep the lines under `root`; see `Store` for what the methods promise."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def lines(self) -> list[str]:
        """See `Store.lines`."""
        # A file in the folder's place is an error, not an empty registry.
        try:
            names = [path.name for path in self.root.iterdir() if path.is_dir()]
        except FileNotFoundError:
            names = []
        found = (name for name in names if LINE.fullmatch(name))
        # What fails for a line that there is not, such as a rollback of a mistyped one, leaves an empty folder.
        return sorted(
            name for name in found if self.versions(name) or (self.root / name / "current").exists()
        )

    def names(self, line: str) -> list[str]:
        """See `Store.names`."""
        return [version.name for version in self.versions(line)]

    def versions(self, line: str) -> list[Version]:
        """List the versions of a line, usable or not, oldest first."""
        folder = self.path(line)
        found = [self.version(line, path.name) for path in (folder.iterdir() if folder.is_dir() else ())]
        return sorted((v for v in found if v is not None), key=lambda v: (v.ordinal, v.hash8))

    def survey(self, line: str) -> tuple[list[Version], dict[str, str]]:
        """See `Store.survey`."""
        good, bad = [], {}
        for version in self.versions(line):
            reason = _fault(version)
            if reason is None:
                good.append(version)
            elif version.path.is_dir():  # or else it was pruned under our eyes
                bad[version.path.name] = reason
        return good, bad

    def served(self, line: str) -> list[Version]:
        """See `Store.served`."""
        names = self.pointer(line).split()
        versions = [self.version(line, name) for name in names]
        there = [v for v in versions if v is not None and v.path.is_dir()]
        if versions and (not there or there[0] != versions[0]):
            logger.warning("line %s: version %s is promoted and does not exist", line, names[0])
        return there

    def refresh(self, line: str) -> str:
        """See `Store.refresh`; a folder is always up to date."""
        return ""

    def path(self, line: str) -> Path:
        """Return the folder of a line.

        Raises:
            RegistryError: that is no name of a line.
        """
        if not LINE.fullmatch(line):
            raise RegistryError(f"{line!r} is no line of models: use base or project-<id>")
        return self.root / line

    def hidden(self, line: str) -> Path:
        """See `Store.hidden`."""
        return self.path(line) / f".tmp-{uuid.uuid4().hex}"

    def version(self, line: str, folder: str) -> Version | None:
        """See `Store.version`."""
        match = FOLDER.fullmatch(folder)
        return Version(line, int(match[1]), match[2], self.path(line) / folder) if match else None

    def pointer(self, line: str) -> str:
        """Read the text of `current`; "" where there is none."""
        try:
            return (self.path(line) / "current").read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def point(self, line: str, served: list[Version]) -> None:
        """See `Store.point`."""
        self.write_pointer(line, pointer_text(served))

    def write_pointer(self, line: str, text: str) -> None:
        """Replace the text of `current` in one step."""
        folder = self.path(line)
        hidden = folder / f".current-{uuid.uuid4().hex}"
        with open(hidden, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, folder / "current")
        checkpoint.sync_folder(folder)

    def place(self, hidden: Path, version: Version) -> None:
        """See `Store.place`."""
        os.rename(hidden, version.path)
        checkpoint.sync_folder(version.path.parent)

    def remove(self, version: Version) -> None:
        """See `Store.remove`."""
        hidden = self.hidden(version.line)
        os.rename(version.path, hidden)  # readers see all of it or nothing
        shutil.rmtree(hidden, ignore_errors=True)

    def sweep(self, line: str) -> None:
        """See `Store.sweep`."""
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
        """See `Store.lock`."""
        folder = self.path(line)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _fault(version: Version) -> str | None:
    """Return why a version cannot be used, as far as a quick look tells; None where it looks good."""
    try:
        card = checkpoint.read_card(version.path)
    except (CheckpointError, UnreadableError) as error:
        return str(error)
    if not (version.path / checkpoint.WEIGHTS).is_file():
        return f"{version.path / checkpoint.WEIGHTS} is missing; copy the folder again"
    if not card["sha256"].startswith(version.hash8):
        return f"{version.path / checkpoint.CARD} is the card of other weights; copy the folder again"
    return None
