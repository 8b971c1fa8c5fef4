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
from tests.drills.drill_kills import ended
from tests.drills.installation import Installation
from tests.drills.results import note

pytestmark = pytest.mark.timeout(900)
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
        said = found.said()
        assert "Traceback" not in said, said[said.index("Traceback") - 2000 :][:6000]
        assert " 500 " not in said
    finally:
        found.close()
        subprocess.run(["umount", "-l", str(home)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def fails(place: Installation) -> str:
    """Run a job that cannot write; returns why it waits to be tried again."""
    job = place.request()
    place.wait("a retry", lambda: (j := place.scheduler.job(job.id)) and j.get_status() == "scheduled")
    return str(place.meta(job)["problem"])


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
    ended(place, place.request())
    assert place.accept(1) == 202
    with (place.home / "filling").open("wb", buffering=0) as filling, suppress(OSError):
        while True:
            filling.write(bytes(4096))
    assert "make room on its disk" in fails(place)
    survives(place)
    (place.home / "filling").unlink()
    ended(place, place.request())
    assert place.learned()
    note("Disk full", HAPPENS, "nothing lost")


def test_a_disk_that_is_read_only(place: Installation) -> None:
    mount("-o", "remount,ro", str(place.home))
    assert place.accept(1) == 202
    assert "CLICKMASK_HOME cannot be written" in fails(place)
    survives(place)
    mount("-o", "remount,rw", str(place.home))
    ended(place, place.request())
    assert place.learned()
    note("Disk read-only", HAPPENS, "nothing lost")
