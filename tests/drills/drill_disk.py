"""A disk that is full, and one that has become read-only: small file systems in memory, which only root can mount."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.backend.annotated_project import PROJECT
from tests.drills.installation import Installation
from tests.drills.results import note

SIZE = 400 << 20
HAPPENS = "a job says so and is tried again; what is served stays, over a restart, too"


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """An installation whose home, and nothing else, is on a file system of its own."""
    if os.getuid() != 0:
        pytest.skip("DISKS ARE NOT TRIED: only root can mount a small file system")
    folder = Path(tempfile.mkdtemp(prefix="cm"))
    home = folder / "home"
    home.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(home))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"DISKS ARE NOT TRIED: {error.stderr.decode().strip()}")
    found = Installation(folder, home)
    try:
        found.start()
        yield found
        found.assert_quiet()
    finally:
        found.close()
        subprocess.run(["umount", "-l", str(home)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def survives(place: Installation) -> None:
    """What is served stays served, new images and events included, and a new web server serves it, too."""
    before = place.registry.current(f"project-{PROJECT}")
    place.click(5)
    assert place.accept(6) == 202
    place.wait("the event", place.counted)
    assert place.asked("GET", "/ready") == 200
    place.restart()
    place.click(6)
    assert place.registry.current(f"project-{PROJECT}") == before


def test_a_disk_that_is_full(place: Installation) -> None:
    place.ended(place.request())
    assert place.accept(1) == 202
    with (place.home / "filling").open("wb", buffering=0) as filling, suppress(OSError):
        while True:
            filling.write(bytes(4096))
    assert "make room on its disk" in place.fails()
    survives(place)
    (place.home / "filling").unlink()
    place.learns()
    note("Disk full", HAPPENS, "nothing lost")


def test_a_disk_that_is_read_only(place: Installation) -> None:
    mount("-o", "remount,ro", str(place.home))
    assert place.accept(1) == 202
    assert "CLICKMASK_HOME cannot be written" in place.fails()
    survives(place)
    mount("-o", "remount,rw", str(place.home))
    place.learns()
    note("Disk read-only", HAPPENS, "nothing lost")
