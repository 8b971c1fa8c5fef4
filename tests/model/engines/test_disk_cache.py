import os
import time
from pathlib import Path

import pytest

from model.engines.disk_cache import UNUSED_S, USED_S, DiskCache


def kilobyte(folder: Path) -> None:
    (folder / "file").write_bytes(bytes(1000))


def age(cache: DiskCache, name: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(cache.root / name, (then, then))


def names(cache: DiskCache) -> list[str]:
    return sorted(path.name for path in cache.root.iterdir())


def test_a_folder_is_made_once_and_marked_as_used(tmp_path):
    cache, made = DiskCache(tmp_path / "cache"), []

    def make(folder: Path) -> None:
        made.append(folder)
        kilobyte(folder)

    path = cache.folder("one", make)
    age(cache, "one", 5 * USED_S)
    assert cache.folder("one", make) == path
    assert len(made) == 1 and (path / "file").stat().st_size == 1000
    assert time.time() - path.stat().st_mtime < USED_S


def test_the_longest_unused_go_when_there_is_too_much(tmp_path):
    cache = DiskCache(tmp_path, limit=2500)
    for place, name in enumerate(("old", "older", "oldest")):
        cache.folder(name, kilobyte)
        age(cache, name, (2 + place) * USED_S)
    cache.folder("new", kilobyte)
    assert names(cache) == ["new", "old"]


def test_what_was_used_today_stays_however_much_it_is(tmp_path):
    cache = DiskCache(tmp_path, limit=10)
    for name in ("one", "two"):
        cache.folder(name, kilobyte)
    assert names(cache) == ["one", "two"]


def test_what_was_not_used_for_a_month_goes(tmp_path):
    cache = DiskCache(tmp_path)
    for name in ("one", "two"):
        cache.folder(name, kilobyte)
    (tmp_path / "stray.blob").write_bytes(b"of an earlier version")
    (tmp_path / ".tmp-killed").mkdir()
    for name in ("two", "stray.blob", ".tmp-killed"):
        age(cache, name, UNUSED_S + 60)
    cache.prune()
    assert names(cache) == ["one"]


def test_a_folder_that_could_not_be_filled_leaves_nothing(tmp_path):
    def fail(folder: Path) -> None:
        kilobyte(folder)
        raise OSError("the disk is full")

    cache = DiskCache(tmp_path)
    with pytest.raises(OSError, match="full"):
        cache.folder("one", fail)
    assert names(cache) == []


def test_another_process_may_be_faster(tmp_path):
    cache = DiskCache(tmp_path)

    def late(folder: Path) -> None:
        kilobyte(folder)
        DiskCache(tmp_path).folder("one", kilobyte)

    assert (cache.folder("one", late) / "file").exists()
    assert names(cache) == ["one"]


def test_what_is_dropped_is_made_anew(tmp_path):
    cache = DiskCache(tmp_path)
    cache.folder("one", kilobyte)
    cache.drop("one")
    cache.drop("one")
    assert names(cache) == []
