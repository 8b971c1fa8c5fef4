"""A clock that jumps: web server, worker and Redis see the time that `wall_clock.c` tells them."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drills.installation import COUNT, Installation, installed
from tests.drills.results import note

DAY = 86400


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that holds by how much the clock is wrong."""
    file = tmp_path_factory.mktemp("clock") / "shift"
    shift(file, 0)
    return file


def shift(clock: Path, seconds: int) -> None:
    """Set the wall clock: it is wrong by so much from now on."""
    if not clock.exists():
        clock.touch()
    with clock.open("r+b") as file:  # in place: processes have mapped it
        file.write(struct.pack("@q", seconds))


@pytest.fixture(scope="module")
def place(clock: Path) -> Iterator[Installation]:
    compiler, library = shutil.which("cc"), clock.with_name("wall_clock.so")
    if compiler is None:
        pytest.skip(
            "CLOCKS ARE NOT TRIED: there is no C compiler (Debian, Ubuntu: apt install gcc libc6-dev)"
        )
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
    fake = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(clock)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in fake.items():
            patch.setenv(name, value)  # for Redis and what is started later, too
        with installed() as found:
            yield found
            found.assert_quiet()


@pytest.mark.parametrize(("jump", "name"), [(DAY, "a day ahead"), (-DAY, "a day back")])
def test_a_clock_that_jumps(place: Installation, clock: Path, jump: int, name: str) -> None:
    for number in range(1, COUNT + 1):
        assert place.accept(number) == 202
    job = place.reach("training")
    shift(clock, jump)
    begin = time.monotonic()
    assert place.server.client().time()[0] - time.time() == pytest.approx(jump, abs=60)
    place.click(1)
    assert place.accept(1) == 202
    place.ended(job)
    first = time.monotonic() - begin
    place.learns()
    took = time.monotonic() - begin - first
    shift(clock, 0)
    place.click(2)
    place.learns()
    note(
        f"The clock jumps {name} during a job, and back",
        "clicks, jobs and notes go on",
        f"job over after {first:.0f} s, the next one {took:.0f} s later",
    )
