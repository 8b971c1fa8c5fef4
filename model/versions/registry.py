"""Model versions: which there are, which one is served, and the way back.

A line of versions, `base` or `project-<id>`, is kept in a folder (`model.versions.local_store`) or in an object
store (`model.versions.object_store`); a version shows as `<line>-<ordinal>-<hash8>`, and changes only when the
served model does.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from model.versions import checkpoint
from model.versions.checkpoint import CheckpointError
from model.versions.local_store import LocalStore
from model.versions.object_store import ObjectStore
from model.versions.store import LINE, RegistryError, Store, Version

BASE = "base"
PACKAGED = Path(__file__).parents[1] / "weights"  # the default weights; others are in folders beside them

logger = logging.getLogger(__name__)


def packaged() -> dict[str, Path]:
    """Return the folders of the weights that come with clickmask by their network's name, the default ones first."""
    folders = [PACKAGED, *(card.parent for card in sorted(PACKAGED.glob(f"*/{checkpoint.CARD}")))]
    return {str(checkpoint.read_card(folder)["architecture"]["name"]): folder for folder in folders}


def checkpoint_in(folder: Path) -> Path:
    """Return where the checkpoint of a folder is: that of a run of `clickmask train` is in a folder of its own."""
    inner = folder / "checkpoint"
    return inner if inner.is_dir() else folder


class Registry:
    """Keep the model versions of an installation; safe to use from several processes and threads at once.

    Args:
        home: they are in its folder `registry`, where no `url` is given.
        url: of an object store that they are in, with copies under `home`; `ObjectStore` says what fails without it.
    """

    def __init__(self, home: Path, url: str | None = None) -> None:
        folder = Path(home)
        self._store: Store = (
            LocalStore(folder / "registry") if url is None else ObjectStore(folder / "mirror", url)
        )
        self.root = self._store.root

    def lines(self) -> list[str]:
        """List the lines there are, `base` first."""
        return self._store.lines()

    def versions(self, line: str) -> list[Version]:
        """List the usable versions of a line, oldest first; unusable ones are logged and left out."""
        good, bad = self._store.survey(line)
        for name, reason in bad.items():
            logger.warning("version %s of line %s is left out: %s", name, line, reason)
        return good

    def names(self, line: str) -> list[str]:
        """List the names of a line's versions, without a closer look at them."""
        return self._store.names(line)

    def broken(self, line: str) -> dict[str, str]:
        """Tell why versions of the line are left out, by folder name."""
        return self._store.survey(line)[1]

    def current(self, line: str) -> Version | None:
        """Return the promoted version; None where the line has none. Reads one small file."""
        served = self._store.served(line)
        return served[0] if served else None

    def refresh(self, line: str) -> str:
        """Learn what is promoted in a line, where that is kept elsewhere; return why it failed, or ""."""
        return self._store.refresh(line)

    def find(self, name: str) -> Version:
        """Find a version by its name, or by `<line>-<ordinal>`, or the current one by its line.

        Raises:
            RegistryError: there is no such version.
        """
        line = LINE.match(name)
        if line is None:
            raise RegistryError(f"{name!r} is no model version: names look like base-1-0a1b2c3d")
        if line.end() == len(name) and (current := self.current(name)) is not None:
            return current
        versions = self.versions(line[0])
        for version in versions:
            if name in (version.name, f"{version.line}-{version.ordinal}"):
                return version
        known = ", ".join(version.name for version in versions) or "none"
        if line.end() == len(name):
            raise RegistryError(f"line {name!r} has no promoted version: name one of its versions ({known})")
        raise RegistryError(f"there is no version {name!r}: line {line[0]!r} has {known}")

    def fallback(self, card: Mapping[str, Any]) -> Version | None:
        """Find the base version that answers for images unlike those a version was trained on, as its card names
        it under "general"; None where the card names none, or where it is gone."""
        name = card.get("general")
        try:
            return None if name is None else self.find(str(name))
        except RegistryError as error:
            logger.warning("a fine-tuned version has to answer for all images: %s", error)
            return None

    def add(
        self,
        line: str,
        network: nn.Module,
        card: Mapping[str, Any],
        head: Mapping[str, Tensor] | None = None,
    ) -> Version:
        """Save a network as the newest version of a line; it is not promoted.

        Args:
            card, head: see `checkpoint.save`.

        Raises:
            CheckpointError: see `checkpoint.save`.
        """
        hidden = self._store.hidden(line)
        written = checkpoint.save(hidden, network, card, head)
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
        with self._store.lock(version.line):
            self._promote(version)

    def rollback(self, line: str) -> Version:
        """Go back to the version that was served before the current one, and return it; where a project had none
        before, the base model serves it again.

        Raises:
            RegistryError: nothing was served before.
        """
        with self._store.lock(line):
            served = self._store.served(line)
            if line != BASE and len(served) == 1:
                self._store.point(line, [])
                return self.ensure_base()
            if len(served) < 2:
                raise RegistryError(f"line {line!r} cannot be rolled back: no version was served before")
            self._store.point(line, served[1:])
            return served[1]

    def prune(self, line: str, keep: int = 5) -> list[Version]:
        """Remove old versions and return them; the newest `keep`, the current one and the one that a rollback would
        serve stay.

        Raises:
            RegistryError: `keep` is less than 1.
        """
        if keep < 1:
            raise RegistryError(f"keep is {keep}: keep at least 1 version")
        with self._store.lock(line):
            stay = {v.name for v in self.versions(line)[-keep:] + self._store.served(line)[:2]}
            gone = [v for v in self.versions(line) if v.name not in stay]
            for version in gone:
                self._store.remove(version)
            self._store.sweep(line)
        return gone

    def ensure_base(self) -> Version:
        """Return the current version of `base`; where it has none, the packaged default weights become it.

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
        """Return the hash8 of the packaged weights where `base` does not have them, as after upgrades; else None."""
        hash8 = str(checkpoint.read_card(PACKAGED)["sha256"])[:8]
        return None if any(version.hash8 == hash8 for version in self.versions(BASE)) else hash8

    def _publish(self, line: str, hidden: Path, sha256: str) -> Version:
        """Give a complete hidden folder the next free number; the caller holds the lock."""
        ordinal = max((int(name.split("-")[-2]) for name in self._store.names(line)), default=0) + 1
        version = self._store.version(line, f"{ordinal}-{sha256[:8]}")
        assert version is not None
        self._store.place(hidden, version)
        return version

    def _promote(self, version: Version) -> None:
        if not version.path.is_dir():
            raise RegistryError(f"{version.name} cannot be promoted: it has been removed; choose another one")
        served = self._store.served(version.line)
        if not served or served[0] != version:
            self._store.point(version.line, [version, *served])

    def _copy(self, line: str, folder: Path) -> tuple[Path, str]:
        """Make a checked hidden copy of a checkpoint; return it and the sha256 of its weights."""
        hidden = self._store.hidden(line)
        checkpoint.copy(folder, hidden)
        try:
            return hidden, checkpoint.load(hidden)[1]["sha256"]
        except CheckpointError:
            shutil.rmtree(hidden, ignore_errors=True)
            checkpoint.load(folder)  # the same complaint, with the name that the caller knows
            raise

    @contextmanager
    def _writing(self, line: str, hidden: Path) -> Iterator[None]:
        """Hold the lock; what is still in the hidden folder at its end was not wanted."""
        try:
            with self._store.lock(line):
                yield
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
