"""A registry in an object store (S3, Google Cloud Storage, ... by fsspec URL), with copies on disk of what is used.

The store has the layout of a registry's folder. A version counts from the moment its card is there, which is written
last; `current` is one small object that is replaced as a whole. Stores know no locks: two machines that change one
line in the same moment are kept apart by the jobs' turns in Redis, not here; of two pointers the later one stays.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from model.errors import ClickmaskError
from model.versions import checkpoint
from model.versions.checkpoint import CARD, WEIGHTS
from model.versions.local_store import LINE, Folder, Version, pointer_text

PAUSE_S = 10.0  # so long is a store that does not answer left alone: a try may take as long

T = TypeVar("T")

log = logging.getLogger(__name__)


class StoreError(ClickmaskError, OSError):
    """The store cannot be used; the message names it and says why."""


class Missing(StoreError):
    """The store has no such object."""


class Damaged(StoreError):
    """The store holds something else than it should."""


class Mirror(Folder):
    """The lines at a URL, with copies under `home` in a folder of their own.

    What changes a line raises `StoreError` where the store does not answer, and has changed nothing then; what reads
    goes on with the copies.
    """

    def __init__(self, home: Path, url: str) -> None:
        self._url = url.rstrip("/")
        super().__init__(home / hashlib.sha256(self._url.encode()).hexdigest()[:12])
        self._name = re.sub(r"//[^/]*@", "//", self._url)  # without a password
        self._seen: set[str] = set()
        # Until when a line that is damaged, or the whole store ("") is left alone, and why.
        self._pauses: dict[str, tuple[float, str]] = {}

    def names(self, line: str) -> list[str]:
        """The names of the versions in the store; nothing is copied."""
        stored = self._attempt("", lambda: self._stored(line))
        return super().names(line) if stored is None else [version.name for version in stored]

    def served(self, line: str) -> list[Version]:
        """As it was last seen: the store is asked for the first time, and then by `refresh`."""
        if line not in self._seen:
            self.refresh(line)
        return super().served(line)

    def refresh(self, line: str) -> str:
        """Copy what is promoted in the store; where that fails, what was known stays. Returns why, or ""."""
        self._seen.add(line)
        self._attempt(line, lambda: self._pull(line))
        return self._trouble(line)

    def _attempt(self, line: str, do: Callable[[], T]) -> T | None:
        """Ask the store, unless it is left alone; None where that fails."""
        if self._trouble(line):
            return None
        try:
            found = do()
        except OSError as error:  # of the store, or of the disk
            key, reason = line if isinstance(error, Damaged) else "", str(error)
            if self._pauses.get(key, (0.0, ""))[1] != reason:
                log.warning("%s", reason)
            self._pauses[key] = time.monotonic() + PAUSE_S, reason
            return None
        for key in ("", line):
            self._pauses.pop(key, None)
        return found

    def _trouble(self, line: str) -> str:
        """Why a line, or the whole store, is left alone; "" where it is not."""
        paused = (self._pauses.get(key, (0.0, "")) for key in ("", line))
        return next((reason for until, reason in paused if time.monotonic() < until), "")

    def _stored_pointer(self, line: str) -> str:
        return (self._read(f"{line}/current") or b"").decode(errors="replace")

    def _pull(self, line: str) -> None:
        text = self._stored_pointer(line)
        names = text.split()
        promoted = self.version(line, names[0]) if names else None
        if names and promoted is None:
            raise Damaged(
                f"{self._name}/{line}/current names {names[0][:40]!r}, which is no version: promote one"
            )
        if text == self.pointer(line) and (promoted is None or promoted.path.is_dir()):
            return
        self.path(line).mkdir(parents=True, exist_ok=True)
        if promoted is not None:
            self._fetch(promoted)
        self._write_pointer(line, text)
        self._forget(line)

    def _fetch(self, version: Version) -> None:
        """Copy a version, whole or not at all."""
        if version.path.is_dir():
            return
        where = f"{version.line}/{version.path.name}"
        files = {name: self._read(f"{where}/{name}") or b"" for name in (WEIGHTS, CARD)}
        if not files[CARD] or hashlib.sha256(files[WEIGHTS]).hexdigest()[:8] != version.hash8:
            raise Damaged(
                f"{self._name}/{where} is not whole: promote another version, or copy it there again"
            )
        hidden = self.hidden(version.line)
        checkpoint.write_folder(hidden, files)
        self._settle(hidden, version)

    def _settle(self, hidden: Path, version: Version) -> None:
        """Give a copy its place; another process may have been faster."""
        try:
            super().place(hidden, version)
        except OSError:
            if not version.path.is_dir():
                raise
            shutil.rmtree(hidden, ignore_errors=True)

    def _forget(self, line: str) -> None:
        """Remove copies of what other machines removed."""
        # Before the store is asked: what is published meanwhile is not among them.
        copies = super().versions(line)
        for version in set(copies).difference(self._stored(line)):
            with suppress(FileNotFoundError):  # by another process
                super().remove(version)

    def lines(self) -> list[str]:
        """The lines in the store, `base` first."""
        found = self._attempt("", lambda: {path.split("/")[0] for path in self._find("")})
        return super().lines() if found is None else sorted(name for name in found if LINE.fullmatch(name))

    def _stored(self, line: str) -> list[Version]:
        """The versions in the store whose card is there, oldest first."""
        folders = [path.split("/")[0] for path in self._find(line) if path.endswith(f"/{CARD}")]
        found = [self.version(line, folder) for folder in folders]
        return sorted((v for v in found if v is not None), key=lambda v: (v.ordinal, v.hash8))

    def survey(self, line: str) -> tuple[list[Version], dict[str, str]]:
        """All versions are copied, to be looked at."""
        damaged = self._attempt("", lambda: self._copy_all(line)) or {}
        good, bad = super().survey(line)
        return good, bad | damaged

    def _copy_all(self, line: str) -> dict[str, str]:
        """Copy all versions; returns folder -> why that was not possible."""
        self.path(line).mkdir(parents=True, exist_ok=True)
        damaged: dict[str, str] = {}
        for version in self._stored(line):
            try:
                self._fetch(version)
            except Damaged as error:
                damaged[version.path.name] = str(error)
        self._forget(line)
        return damaged

    def place(self, hidden: Path, version: Version) -> None:
        """In the store first: what is on disk alone is no version."""
        for name in (WEIGHTS, CARD):
            self._write(f"{version.line}/{version.path.name}/{name}", (hidden / name).read_bytes())
        super().place(hidden, version)

    def remove(self, version: Version) -> None:
        """In the store and on disk."""
        for name in (CARD, WEIGHTS):  # without a card it is no version
            with (
                suppress(Missing),
                self._store(f"{version.line}/{version.path.name}/{name}") as (store, place),
            ):
                store.rm_file(place)
        super().remove(version)

    def point(self, line: str, served: list[Version]) -> None:
        """In the store and on disk."""
        self._write(f"{line}/current", pointer_text(served).encode())
        super().point(line, served)

    @contextmanager
    def lock(self, line: str) -> Iterator[None]:
        """Who changes a line sees all of it as it is in the store, damaged or not."""
        with super().lock(line):
            self._copy_all(line)
            self._write_pointer(line, self._stored_pointer(line))
            yield

    def _write(self, path: str, data: bytes) -> None:
        with self._store(path) as (store, place):
            store.pipe_file(place, data)

    def _read(self, path: str) -> bytes | None:
        try:
            with self._store(path) as (store, place):
                return bytes(store.cat_file(place))
        except Missing:
            return None

    def _find(self, path: str) -> list[str]:
        """What lies under a path of the store, relative to it."""
        try:
            with self._store(path) as (store, place):
                return [os.path.relpath(found, place) for found in store.find(place)]
        except Missing:
            return []

    @contextmanager
    def _store(self, path: str) -> Iterator[tuple[Any, str]]:
        """The file system and a path in it; not to be kept, as these objects do not survive a fork."""
        try:
            yield fsspec.core.url_to_fs(f"{self._url}/{path}".rstrip("/"), use_listings_cache=False)
        except FileNotFoundError as error:
            raise Missing(f"{self._name}/{path}: {error}") from None
        except Exception as error:  # every kind of store has errors of its own
            raise StoreError(f"{self._name}: {type(error).__name__}: {error}") from None
