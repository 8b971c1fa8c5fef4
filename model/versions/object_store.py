"""The lines of a registry in an object store, with copies on disk of what is used.

The bucket has the layout of a registry's folder. A version counts from the moment its card is there, which is written
last; `current` is one small object that is replaced as a whole. Buckets know no locks: two machines that change one
line in the same moment are kept apart by the lock of the project in Redis, not here; of two pointers the later one
stays.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from model.errors import ClickmaskError
from model.versions import checkpoint
from model.versions.bucket import Bucket, StoreError
from model.versions.checkpoint import CARD, WEIGHTS
from model.versions.local_store import LocalStore
from model.versions.store import LINE, Version, pointer_text

SEEN = 1000  # lines of which it is remembered that the bucket was asked
PAUSE_S = 10.0  # so long is a bucket that does not answer left alone: a try may take as long

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Damaged(StoreError):
    """The bucket holds something else than it should."""


class ObjectStore:
    """Keep the lines at a URL, with copies under `home` in a folder of their own; see `Store` for the methods.

    What changes a line raises `StoreError` where the bucket does not answer, and has changed nothing then; what reads
    goes on with the copies.
    """

    def __init__(self, home: Path, url: str) -> None:
        self._bucket = Bucket(url)
        self._copies = LocalStore(home / hashlib.sha256(self._bucket.url.encode()).hexdigest()[:12])
        self._seen: OrderedDict[str, None] = OrderedDict()
        # Until when a line that is damaged, or the whole bucket ("") is left alone, and why.
        self._pauses: dict[str, tuple[float, str]] = {}
        self._whole: dict[Version, checkpoint.Stamp] = {}  # copies that were looked at

    @property
    def root(self) -> Path:
        """The folder with the copies."""
        return self._copies.root

    def lines(self) -> list[str]:
        """See `Store.lines`."""
        found = self._attempt("", lambda: {path.split("/")[0] for path in self._bucket.find("")})
        return self._copies.lines() if found is None else sorted(n for n in found if LINE.fullmatch(n))

    def names(self, line: str) -> list[str]:
        """See `Store.names`; nothing is copied."""
        stored = self._attempt("", lambda: self._stored(line))
        return self._copies.names(line) if stored is None else [version.name for version in stored]

    def survey(self, line: str) -> tuple[list[Version], dict[str, str]]:
        """See `Store.survey`; all versions are copied, to be looked at."""
        damaged = self._attempt("", lambda: self._copy_all(line)) or {}
        good, bad = self._copies.survey(line)
        return good, bad | damaged

    def served(self, line: str) -> list[Version]:
        """See `Store.served`; as it was last seen: the bucket is asked the first time, and then by `refresh`."""
        if line not in self._seen:
            self.refresh(line)
        return self._copies.served(line)

    def refresh(self, line: str) -> str:
        """Copy what is promoted in the bucket; where that fails, what was known stays. Return why, or ""."""
        self._seen[line] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        self._attempt(line, lambda: self._pull(line))
        return self._trouble(line)

    def hidden(self, line: str) -> Path:
        """See `Store.hidden`."""
        return self._copies.hidden(line)

    def version(self, line: str, folder: str) -> Version | None:
        """See `Store.version`."""
        return self._copies.version(line, folder)

    @contextmanager
    def lock(self, line: str) -> Iterator[None]:
        """See `Store.lock`; who changes a line sees all of it as it is in the bucket, damaged or not."""
        with self._copies.lock(line):
            self._copy_all(line)
            self._copies.write_pointer(line, self._stored_pointer(line))
            yield

    def place(self, hidden: Path, version: Version) -> None:
        """See `Store.place`; in the bucket first: what is on disk alone is no version."""
        for name in (WEIGHTS, CARD):
            self._bucket.write(_place(version, name), (hidden / name).read_bytes())
        self._copies.place(hidden, version)

    def point(self, line: str, served: list[Version]) -> None:
        """See `Store.point`; in the bucket and on disk."""
        self._bucket.write(f"{line}/current", pointer_text(served).encode())
        self._copies.point(line, served)

    def remove(self, version: Version) -> None:
        """See `Store.remove`; in the bucket and on disk."""
        for name in (CARD, WEIGHTS):  # without a card it is no version
            self._bucket.remove(_place(version, name))
        self._copies.remove(version)

    def sweep(self, line: str) -> None:
        """See `Store.sweep`."""
        self._copies.sweep(line)

    def _attempt(self, line: str, do: Callable[[], T]) -> T | None:
        """Ask the bucket, unless it is left alone; None where that fails."""
        if self._trouble(line):
            return None
        try:
            found = do()
        except OSError as error:  # of the bucket, or of the disk
            key, reason = line if isinstance(error, Damaged) else "", str(error)
            if self._pauses.get(key, (0.0, ""))[1] != reason:
                logger.warning("%s", reason)
            self._pauses[key] = time.monotonic() + PAUSE_S, reason
            return None
        for key in ("", line):
            self._pauses.pop(key, None)
        return found

    def _trouble(self, line: str) -> str:
        """Why a line, or the whole bucket, is left alone; "" where it is not."""
        paused = (self._pauses.get(key, (0.0, "")) for key in ("", line))
        return next((reason for until, reason in paused if time.monotonic() < until), "")

    def _stored_pointer(self, line: str) -> str:
        return (self._bucket.read(f"{line}/current") or b"").decode(errors="replace")

    def _stored(self, line: str) -> list[Version]:
        """Return the versions in the bucket whose card is there, oldest first."""
        folders = [path.split("/")[0] for path in self._bucket.find(line) if path.endswith(f"/{CARD}")]
        found = [self.version(line, folder) for folder in folders]
        return sorted((v for v in found if v is not None), key=lambda v: (v.ordinal, v.hash8))

    def _pull(self, line: str) -> None:
        """Copy the promoted version and the pointer."""
        text = self._stored_pointer(line)
        names = text.split()
        promoted = self.version(line, names[0]) if names else None
        if names and promoted is None:
            where = f"{self._bucket.name}/{line}/current"
            raise Damaged(f"{where} names {names[0][:40]!r}, which is no version: promote one")
        if text == self._copies.pointer(line) and (promoted is None or self._is_whole(promoted)):
            return
        self._copies.path(line).mkdir(parents=True, exist_ok=True)
        if promoted is not None:
            self._fetch(promoted)
        self._copies.write_pointer(line, text)
        self._forget(line)

    def _copy_all(self, line: str) -> dict[str, str]:
        """Copy all versions; return folder -> why that was not possible."""
        self._copies.path(line).mkdir(parents=True, exist_ok=True)
        damaged: dict[str, str] = {}
        for version in self._stored(line):
            try:
                self._fetch(version)
            except Damaged as error:
                damaged[version.path.name] = str(error)
        self._forget(line)
        return damaged

    def _fetch(self, version: Version) -> None:
        """Copy a version, whole or not at all, where no whole copy is there."""
        if self._is_whole(version):
            return
        files = {name: self._bucket.read(_place(version, name)) or b"" for name in (WEIGHTS, CARD)}
        if not files[CARD] or hashlib.sha256(files[WEIGHTS]).hexdigest()[:8] != version.hash8:
            where = f"{self._bucket.name}/{version.line}/{version.path.name}"
            raise Damaged(f"{where} is not whole: promote another version, or copy it there again")
        hidden = self.hidden(version.line)
        checkpoint.write_folder(hidden, files)
        if version.path.is_dir():
            logger.warning("the copy %s is damaged and made anew", version.path)
            self._copies.remove(version)
        self._settle(hidden, version)
        self._whole[version] = checkpoint.stamp(version.path)

    def _is_whole(self, version: Version) -> bool:
        """Tell whether a copy is as it was made; its weights are read once, and again when its files change."""
        stamp = checkpoint.stamp(version.path)
        if self._whole.get(version) != stamp:
            try:
                checkpoint.check_weights(version.path)
            except ClickmaskError:
                return False
            self._whole[version] = stamp
        return True

    def _settle(self, hidden: Path, version: Version) -> None:
        """Give a copy its place; another process may have been faster."""
        try:
            self._copies.place(hidden, version)
        except OSError:
            if not version.path.is_dir():
                raise
            shutil.rmtree(hidden, ignore_errors=True)

    def _forget(self, line: str) -> None:
        """Remove copies of what other machines removed."""
        # Before the bucket is asked: what is published meanwhile is not among them.
        copies = self._copies.versions(line)
        for version in set(copies).difference(self._stored(line)):
            with suppress(FileNotFoundError):  # by another process
                self._copies.remove(version)


def _place(version: Version, name: str) -> str:
    """Return the path of a version's file in the bucket."""
    return f"{version.line}/{version.path.name}/{name}"
