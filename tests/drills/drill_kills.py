"""kill -9 of each process at each phase of a job."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

import psutil
import pytest

from fine_tune.project.phases import PHASES
from tests.backend.worker_home import kill
from tests.drills.installation import COUNT, Installation, children
from tests.drills.results import note
from tests.live_processes import alive

AWAY_S = 1.0  # until a killed Redis is started again
SECONDS: dict[str, list[float]] = defaultdict(list)


def job_child(place: Installation) -> None:
    """The process that the worker started for the job."""
    assert place.worker is not None
    for process in children(place.worker):
        if "resource_tracker" not in " ".join(process.cmdline()):
            process.kill()


def worker(place: Installation) -> None:
    """The worker alone: what it started is left to end or to go on."""
    assert place.worker is not None
    place.worker.kill()
    place.worker.wait()


def redis(place: Installation) -> None:
    place.server.stop()
    threading.Timer(AWAY_S, place.server.start).start()


def web_worker(place: Installation) -> None:
    """The process that answers, below gunicorn's first one."""
    assert place.server_process is not None
    for process in children(place.server_process):
        process.kill()


def web_server(place: Installation) -> None:
    """Gunicorn's first process; the one that answers notices by itself."""
    assert place.server_process is not None
    family = children(place.server_process)
    place.server_process.kill()
    place.server_process.wait()
    psutil.wait_procs(family, 30)
    assert not alive(family)


VICTIMS = {
    "job's process": job_child,
    "worker": worker,
    "Redis": redis,
    "web worker": web_worker,
    "web server": web_server,
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_costs_time_and_nothing_else(place: Installation, victim: str, phase: str) -> None:
    place.start()
    for number in (1, 2, 3):
        assert place.accept(number) == 202
    job = place.reach(phase)
    assert place.accept(4) == 202
    begin = time.monotonic()
    VICTIMS[victim](place)
    if victim in ("worker", "web server"):
        place.start()  # as Docker, systemd or a person would
    place.wait("an answer", lambda: place.asked("POST", "/predict", place.body(1)) == 200)
    if victim.startswith("web"):
        SECONDS[f"{victim}: answers"].append(time.monotonic() - begin)
    place.click(2)
    assert place.accept(5) == 202
    place.ended(job)
    SECONDS[f"{victim}: job"].append(time.monotonic() - begin)
    if not place.learned():  # an event was lost with the process: the next job looks for itself
        place.learns()


def test_a_killed_container_is_noticed(place: Installation) -> None:
    """The worker with all it started, as when memory runs out or a machine goes: nobody is left to tell of it."""
    place.start()
    job = place.reach("training")
    begin = time.monotonic()
    assert place.worker is not None
    kill(place.worker)
    place.start()
    place.ended(job)
    took = time.monotonic() - begin
    note(
        "kill -9 of the worker with its job",
        "the next worker goes on where it was",
        f"over after {took:.0f} s",
    )
    assert place.learned()


def test_what_was_measured(place: Installation) -> None:
    for victim in VICTIMS:
        jobs = SECONDS.get(f"{victim}: job", [])
        if not jobs:
            continue
        answers = SECONDS.get(f"{victim}: answers", [])
        measured = f"{len(jobs)} of {len(PHASES)} phases: job over after {max(jobs):.0f} s at most"
        if answers:
            measured += f", clicks answered after {max(answers):.1f} s at most"
        happens = {
            "job's process": "tried again, goes on where it was",
            "worker": "the job's process ends its job; a new worker takes the next one",
            "Redis": "everything waits for it; clicks are answered without",
            "web worker": "gunicorn starts another one",
            "web server": "its worker ends; started again by whoever started it",
        }[victim]
        note(f"kill -9 of {victim}, at each phase of a job", happens, measured)
    place.assert_quiet("serve.log")  # RQ, in the worker, tells of its troubles with Redis in its own way
    assert len(place.tasks) == COUNT
