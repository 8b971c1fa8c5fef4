"""CPU cores that this process may use."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path, PurePosixPath


def cores() -> int:
    """Count the CPU cores that this process may run on, and no more than its quota pays for, rounded up."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = quota()
    return own if granted is None else min(own, max(math.ceil(granted), 1))


def quota(mounted: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return how many cores' time the control groups of this process have, as containers are given; None for all.

    Neither torch nor OpenVINO asks for it: with a thread for each of many cores a pass spends the quota at once, and
    then waits.

    Args:
        mounted: where control groups are, of version 2 or 1.
        own: names those of this process.
    """
    found: list[float] = []
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            root = mounted / controllers
            name = PurePosixPath(path.strip("/"))  # of the host, where a container sees its own group alone
            found += [limit for part in (name, *name.parents) if (limit := _limit(root / part)) is not None]
    return min(found, default=None)


def _limit(folder: Path) -> float | None:
    """Return the bound of one group; None where it has none."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        if (folder / "cpu.max").exists():
            share, period = (folder / "cpu.max").read_text().split()
        else:
            share, period = ((folder / f"cpu.cfs_{kind}_us").read_text() for kind in ("quota", "period"))
        if int(share) > 0:
            return int(share) / int(period)
    return None
