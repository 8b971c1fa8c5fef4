"""The model registry: versions of networks on disk, and which one of each line is current.

`<home>/registry/<line>/<ordinal>-<hash8>/` holds a checkpoint; `<line>/current` names the served version, and
`<line>/history` those served before it, one a line. A line is `base` or `project-<id>`. Every write is a rename,
so that any number of servers and workers may share one registry, also on a network volume.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from model import checkpoint
from model.checkpoint import Card, CheckpointError

DEFAULT_WEIGHTS = Path(__file__).parent / "weights"
_FOLDER = re.compile(r"(\d+)-([0-9a-f]{8})")
_LINE = re.compile(r"base|project-\d+")


@dataclass(frozen=True, order=True)
class Version:
    """One version of one line; `name` is what Label Studio shows."""

    line: str
    ordinal: int
    hash8: str
    path: Path

    @property
    def name(self) -> str:
        """`<line>-<ordinal>-<hash8>`."""
        return f"{self.line}-{self.ordinal}-{self.hash8}"

    def load(self) -> tuple[nn.Module, Card]:
        """The network in evaluation mode and its card; raises `CheckpointError`."""
        return checkpoint.load(self.path)

    def card(self) -> Card:
        """The card alone; raises `CheckpointError`."""
        return checkpoint.read_card(self.path)


class Registry:
    """All lines below one home folder.

    Args:
        home: CLICKMASK_HOME; `registry` below it is created when first written to.
    """

    def __init__(self, home: Path) -> None:
        self.root = home / "registry"

    def lines(self) -> list[str]:
        """Names of all lines, sorted."""
        return (
            sorted(p.name for p in self.root.iterdir() if _LINE.fullmatch(p.name))
            if self.root.exists()
            else []
        )

    def versions(self, line: str) -> list[Version]:
        """All versions of a line, oldest first; they are complete, but only loading verifies them."""
        folder = self._line(line)
        found = [self._version(line, p.name) for p in folder.iterdir()] if folder.exists() else []
        return sorted(v for v in found if v is not None)

    def current(self, line: str) -> Version | None:
        """The version the line serves; None before the first promotion."""
        return self._version(line, _read(self._line(line) / "current").strip())

    def find(self, name: str) -> Version:
        """The version with this name, or the current one of the line with this name.

        Raises:
            KeyError: there is none.
        """
        for line in self.lines():
            current = self.current(line)
            if name == line and current is not None:
                return current
            for version in self.versions(line):
                if version.name == name:
                    return version
        raise KeyError(f"no model version {name!r}: `clickmask models list` shows all")

    def add(self, line: str, network: nn.Module, card: Card) -> Version:
        """Write a new version, which is not served before it is promoted.

        Raises:
            CheckpointError: see `model.checkpoint.write`.
        """
        with self._part(line) as part:
            return self._place(line, Path(part), checkpoint.write(Path(part), network, card))

    def add_files(self, line: str, source: Path) -> Version:
        """As `add`, from the folder of a checkpoint, which is verified first."""
        checkpoint.load(source)
        with self._part(line) as part:
            checkpoint.copy(source, Path(part))
            return self._place(line, Path(part), checkpoint.read_card(source))

    def promote(self, version: Version) -> None:
        """Serve this version from now on.

        Raises:
            CheckpointError: it is damaged; what was served goes on being served.
        """
        version.load()
        before = self.current(version.line)
        if before is not None and before != version:
            history = [*self._history(version.line), before.path.name]
            _write(self._line(version.line) / "history", "\n".join(history[-20:]) + "\n")
        _write(self._line(version.line) / "current", version.path.name + "\n")

    def rollback(self, line: str) -> Version:
        """Serve again what was served before the current version.

        Raises:
            LookupError: nothing older was served, or it is gone.
        """
        history = self._history(line)
        while history:
            version = self._version(line, history.pop())
            if version is not None and version != self.current(line):
                version.load()
                _write(self._line(line) / "history", "".join(f"{name}\n" for name in history))
                _write(self._line(line) / "current", version.path.name + "\n")
                return version
        raise LookupError(f"line {line!r} has no earlier version to go back to")

    def prune(self, line: str, keep: int = 5) -> list[Version]:
        """Remove all but the newest `keep` versions; never the current one or the one `rollback` would serve."""
        safe = {self.current(line), *[self._version(line, name) for name in self._history(line)[-1:]]}
        doomed = [v for v in self.versions(line)[: -keep or None] if v not in safe]
        for version in doomed:
            shutil.rmtree(version.path)
        return doomed

    def ensure_base(self) -> Version:
        """The current base version; installs the packaged default weights where there is none."""
        current = self.current("base")
        if current is None:
            try:
                current = self.add_files("base", DEFAULT_WEIGHTS)
            except CheckpointError as error:
                raise CheckpointError(
                    f"the default weights of this installation are damaged: {error}"
                ) from error
            self.promote(current)
        return current

    def _line(self, line: str) -> Path:
        if not _LINE.fullmatch(line):
            raise ValueError(f"line {line!r}: must be 'base' or 'project-<id>'")
        return self.root / line

    def _version(self, line: str, folder: str) -> Version | None:
        match = _FOLDER.fullmatch(folder)
        path = self._line(line) / folder
        if match is None or not path.is_dir():
            return None
        return Version(line, int(match[1]), match[2], path)

    def _history(self, line: str) -> list[str]:
        return _read(self._line(line) / "history").split()

    def _part(self, line: str) -> tempfile.TemporaryDirectory[str]:
        """A folder beside the versions, invisible to readers, gone afterwards unless renamed."""
        self._line(line).mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=self._line(line), prefix=".part-", ignore_cleanup_errors=True)

    def _place(self, line: str, part: Path, card: Card) -> Version:
        """Rename a complete folder to the next free ordinal; ordinals of removed versions are not used again."""
        hash8 = card["sha256"][:8]
        counter = self._line(line) / ".ordinals"
        counter.mkdir(exist_ok=True)
        ordinal = max([0, *(int(p.name) for p in counter.iterdir())])
        while True:
            ordinal += 1
            try:
                (counter / str(ordinal)).mkdir()  # atomic: only one process gets this number
                break
            except FileExistsError:
                continue
        target = self._line(line) / f"{ordinal}-{hash8}"
        os.chmod(part, 0o755)
        os.replace(part, target)
        checkpoint.sync(self._line(line))
        return Version(line, ordinal, hash8, target)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    """Replace a small file atomically."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
    checkpoint.sync(path.parent)
