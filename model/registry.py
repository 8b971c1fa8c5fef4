"""Model versions on disk: `<home>/registry/<line>/<ordinal>-<hash8>/`, a line being `base` or `project-<id>`.

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from model import checkpoint
from model.checkpoint import CheckpointError

BASE = "base"
PACKAGED = Path(__file__).with_name("weights")  # the default weights
HISTORY = 20  # how many earlier served versions `current` remembers
STALE_S = 86400.0  # hidden folders of killed processes are removed after a day

_LINE = re.compile(r"base|project-[0-9]+")
_FOLDER = re.compile(r"([0-9]+)-([0-9a-f]{8})")

log = logging.getLogger(__name__)


class RegistryError(ValueError):
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


class Registry:
    """The model versions under `home`; safe to use from several processes and threads at once."""

    def __init__(self, home: Path) -> None:
        self.root = Path(home) / "registry"

    def lines(self) -> list[str]:
        """The lines there are, `base` first."""
        return sorted(name for name in self._folders() if _LINE.fullmatch(name))

    def versions(self, line: str) -> list[Version]:
        """The usable versions of a line, oldest first; unusable ones are logged and left out."""
        good, bad = self._survey(line)
        for name, reason in bad.items():
            log.warning("version %s of line %s is left out: %s", name, line, reason)
        return good

    def names(self, line: str) -> list[str]:
        """The names of a line's versions, without a closer look at them."""
        return [version.name for version in self.versions(line)]

    def broken(self, line: str) -> dict[str, str]:
        """Folder name -> why that version of the line is left out."""
        return self._survey(line)[1]

    def current(self, line: str) -> Version | None:
        """The promoted version; None where the line has none. Reads one small file."""
        served = self._served(line)
        return served[0] if served else None

    def refresh(self, line: str) -> str:
        """Learn what is promoted in a line, where the registry is kept elsewhere; returns why that failed, or ""."""
        return ""

    def find(self, name: str) -> Version:
        """A version by its name, or by `<line>-<ordinal>`, or the current one by its line.

        Raises:
            RegistryError: there is no such version.
        """
        line = _LINE.match(name)
        if line is None:
            raise RegistryError(f"{name!r} is no model version: names look like base-1-0a1b2c3d")
        if line.end() == len(name):
            current = self.current(name)
            if current is None:
                raise RegistryError(f"line {name!r} has no promoted version: promote one of its versions")
            return current
        for version in self.versions(line[0]):
            if name in (version.name, f"{version.line}-{version.ordinal}"):
                return version
        known = ", ".join(v.name for v in self.versions(line[0])) or "none"
        raise RegistryError(f"there is no version {name!r}: line {line[0]!r} has {known}")

    def general(self, card: Mapping[str, Any]) -> Version | None:
        """The base version that answers for images unlike those a version was trained on, as its card names it;
        None where the card names none, or where it is gone."""
        name = card.get("general")
        try:
            return None if name is None else self.find(str(name))
        except RegistryError as error:
            log.warning("a fine-tuned version has to answer for all images: %s", error)
            return None

    def add(self, line: str, network: nn.Module, card: Mapping[str, Any]) -> Version:
        """Save a network as the newest version of a line; it is not promoted.

        Raises:
            CheckpointError: see `checkpoint.save`.
        """
        hidden = self._hidden(line)
        written = checkpoint.save(hidden, network, card)
        with self._writing(line, hidden):
            return self._publish(line, hidden, written["sha256"])

    def adopt(self, line: str, folder: Path) -> Version:
        """Copy a checkpoint folder, byte for byte, as the newest version of a line; it is not promoted.

        Raises:
            CheckpointError: it cannot be loaded.
        """
        hidden, sha256 = self._copy(line, folder)
        with self._writing(line, hidden):
            return self._publish(line, hidden, sha256)

    def promote(self, version: Version) -> None:
        """Let a version be the one that is served.

        Raises:
            RegistryError: it has been pruned meanwhile.
        """
        with self._lock(version.line):
            self._promote(version)

    def rollback(self, line: str) -> Version:
        """Go back to the version that was served before the current one, and return it; where a project had none
        before, the base model serves it again.

        Raises:
            RegistryError: nothing was served before.
        """
        with self._lock(line):
            served = self._served(line)
            if line != BASE and len(served) == 1:
                self._point(line, [])
                return self.ensure_base()
            if len(served) < 2:
                raise RegistryError(f"line {line!r} cannot be rolled back: no version was served before")
            self._point(line, served[1:])
            return served[1]

    def prune(self, line: str, keep: int = 5) -> list[Version]:
        """Remove old versions and return them; the newest `keep`, the current one and the one that a rollback
        would serve stay."""
        if keep < 1:
            raise RegistryError(f"keep is {keep}: keep at least 1 version")
        with self._lock(line):
            stay = {v.name for v in self.versions(line)[-keep:] + self._served(line)[:2]}
            gone = [v for v in self.versions(line) if v.name not in stay]
            for version in gone:
                self._remove(version)
            self._sweep(line)
        return gone

    def ensure_base(self) -> Version:
        """The current version of `base`; where it has none, the packaged default weights become it.

        Raises:
            CheckpointError: the package carries no usable weights.
        """
        current = self.current(BASE)
        if current is not None:
            return current
        hidden, sha256 = self._copy(BASE, PACKAGED)
        with self._writing(BASE, hidden):
            current = self.current(BASE)
            if current is None:
                current = self._publish(BASE, hidden, sha256)
                self._promote(current)
        return current

    def new_default(self) -> str | None:
        """The hash8 of the packaged weights where `base` does not have them, as after an upgrade; else None."""
        hash8 = str(checkpoint.read_card(PACKAGED)["sha256"])[:8]
        return None if any(version.hash8 == hash8 for version in self.versions(BASE)) else hash8

    def _folders(self) -> list[str]:
        return [path.name for path in self.root.iterdir() if path.is_dir()] if self.root.is_dir() else []

    def _folder(self, line: str) -> Path:
        if not _LINE.fullmatch(line):
            raise RegistryError(f"{line!r} is no line of models: use base or project-<id>")
        return self.root / line

    def _hidden(self, line: str) -> Path:
        return self._folder(line) / f".tmp-{uuid.uuid4().hex}"

    def _survey(self, line: str) -> tuple[list[Version], dict[str, str]]:
        good, bad = [], {}
        folder = self._folder(line)
        for path in folder.iterdir() if folder.is_dir() else ():
            version = self._version(line, path.name)
            if version is None:
                continue
            reason = _fault(version)
            if reason is None:
                good.append(version)
            elif version.path.is_dir():  # or else it was pruned under our eyes
                bad[path.name] = reason
        return sorted(good, key=lambda v: (v.ordinal, v.hash8)), bad

    def _version(self, line: str, folder: str) -> Version | None:
        match = _FOLDER.fullmatch(folder)
        return Version(line, int(match[1]), match[2], self._folder(line) / folder) if match else None

    def _pointer(self, line: str) -> str:
        """The text of `current`."""
        try:
            return (self._folder(line) / "current").read_text()
        except FileNotFoundError:
            return ""

    def _served(self, line: str) -> list[Version]:
        """The current version and those served before it, newest first, as far as they still exist."""
        names = self._pointer(line).split()
        versions = [self._version(line, name) for name in names]
        there = [v for v in versions if v is not None and v.path.is_dir()]
        if versions and (not there or there[0] != versions[0]):
            log.warning("line %s: version %s is promoted and does not exist", line, names[0])
        return there

    def _publish(self, line: str, hidden: Path, sha256: str) -> Version:
        """Give a complete hidden folder the next free number; the caller holds the lock."""
        ordinal = max((v.ordinal for v in self._taken(line)), default=0) + 1
        version = self._version(line, f"{ordinal}-{sha256[:8]}")
        assert version is not None
        self._place(hidden, version)
        return version

    def _taken(self, line: str) -> list[Version]:
        found = (self._version(line, path.name) for path in self._folder(line).iterdir())
        return [version for version in found if version is not None]

    def _place(self, hidden: Path, version: Version) -> None:
        os.rename(hidden, version.path)
        checkpoint.sync_folder(version.path.parent)

    def _remove(self, version: Version) -> None:
        hidden = self._hidden(version.line)
        os.rename(version.path, hidden)  # readers see all of it or nothing
        shutil.rmtree(hidden, ignore_errors=True)

    def _promote(self, version: Version) -> None:
        if not version.path.is_dir():
            raise RegistryError(f"{version.name} cannot be promoted: it has been removed; choose another one")
        served = self._served(version.line)
        if not served or served[0] != version:
            self._point(version.line, [version, *served])

    def _point(self, line: str, served: list[Version]) -> None:
        self._write_pointer(line, pointer_text(served))

    def _write_pointer(self, line: str, text: str) -> None:
        folder = self._folder(line)
        hidden = folder / f".current-{uuid.uuid4().hex}"
        with open(hidden, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, folder / "current")
        checkpoint.sync_folder(folder)

    def _copy(self, line: str, folder: Path) -> tuple[Path, str]:
        """A checked hidden copy of a checkpoint and the sha256 of its weights."""
        hidden = self._hidden(line)
        checkpoint.copy(folder, hidden)
        try:
            return hidden, checkpoint.load(hidden)[1]["sha256"]
        except CheckpointError:
            shutil.rmtree(hidden, ignore_errors=True)
            checkpoint.load(folder)  # the same complaint, with the name that the caller knows
            raise

    def _sweep(self, line: str) -> None:
        """Remove what killed processes left behind."""
        for path in self._folder(line).glob(".*-*"):
            with suppress(FileNotFoundError):  # writers at work rename theirs meanwhile
                if time.time() - path.stat().st_mtime < STALE_S:
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    @contextmanager
    def _writing(self, line: str, hidden: Path) -> Iterator[None]:
        """The lock; what is still in the hidden folder at its end was not wanted."""
        try:
            with self._lock(line):
                yield
        finally:
            shutil.rmtree(hidden, ignore_errors=True)

    @contextmanager
    def _lock(self, line: str) -> Iterator[None]:
        folder = self._folder(line)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def pointer_text(served: list[Version]) -> str:
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
