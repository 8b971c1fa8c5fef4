"""Folders of files that can be made again, as converted networks: kept while they are used, bounded in all.

A folder appears complete or not at all. Its time of modification is the time of its last use.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LIMIT_BYTES = 1 << 30  # of all folders together
USED_S = 86400.0  # what was used within a day stays, however much it is
UNUSED_S = 30 * 86400.0  # what was not used for a month goes, however little it is

logger = logging.getLogger(__name__)


class DiskCache:
    """Keep folders under `root`; safe to use from several processes and threads at once.

    Args:
        root: made when something is kept.
        limit: bytes from which the longest unused folders go.
    """

    def __init__(self, root: Path, limit: int = LIMIT_BYTES) -> None:
        self.root, self._limit = root, limit

    def folder(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the folder `name` and mark it as used.

        Args:
            make: fills a new folder where there is none of that name.

        Raises:
            OSError: it cannot be written.
        """
        path = self.root / name
        with suppress(FileNotFoundError):
            os.utime(path)
            return path
        self.root.mkdir(parents=True, exist_ok=True)
        hidden = self.root / f".tmp-{uuid.uuid4().hex}"
        hidden.mkdir()
        try:
            make(hidden)
            os.rename(hidden, path)
        except OSError:
            if not path.is_dir():  # or else another process was faster
                raise
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
        self.prune()
        return path

    def drop(self, name: str) -> None:
        """Remove a folder, to be made anew."""
        self._remove(self.root / name)

    def prune(self) -> None:
        """Remove what was not used for a month, then the longest unused until the rest is within the limit."""
        now, total = time.time(), 0
        for used, path in sorted(self._entries(), reverse=True):
            total += _size(path)
            age = now - used
            if age > UNUSED_S or (total > self._limit and age > USED_S):
                logger.info("%s was not used for %.0f days and is removed", path, age / 86400)
                self._remove(path)

    def _entries(self) -> list[tuple[float, Path]]:
        """All there is, with the time of its last use."""
        found = []
        for path in self.root.iterdir() if self.root.is_dir() else ():
            with suppress(FileNotFoundError):  # another process prunes, too
                found.append((path.stat().st_mtime, path))
        return found

    def _remove(self, path: Path) -> None:
        """Readers see all of it or nothing."""
        hidden = self.root / f".tmp-{uuid.uuid4().hex}"
        with suppress(FileNotFoundError):
            os.rename(path, hidden)
        if hidden.is_dir():
            shutil.rmtree(hidden, ignore_errors=True)
        else:
            hidden.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    total = 0
    for file in path.iterdir() if path.is_dir() else (path,):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total
