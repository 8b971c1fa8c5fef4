"""How much longer a click takes while a fine-tuning job runs on the same machine.

`python -m tests.measurements.clicks_during_job` runs Redis, web server and worker, clicks without a job and while one
trains and judges, in turn, and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator

import numpy as np
import requests
from rq.job import Job

from backend.operations.bench.annotators import inline
from backend.operations.bench.click_requests import CLICKS, Picture, body
from fine_tune.project.phases import PHASES
from tests.drills.installation import Installation, installed

REST, TIMEOUT_S = "at rest", 60.0
NUMBERS = itertools.count(1)


def click_object(place: Installation, size: tuple[int, int], think_s: float) -> Iterator[float]:
    """Click at an object of a new picture of a size, width and height; yields the seconds of each answer."""
    number = next(NUMBERS)
    picture = Picture.make(*size, seed=number)
    address = inline(picture)
    for count in range(1, len(CLICKS) + 1):
        content = body(picture, address, count, task=number)
        begin = time.perf_counter()
        answer = requests.post(f"{place.url}/predict", json=content, timeout=TIMEOUT_S)
        took = time.perf_counter() - begin
        assert answer.status_code == 200, answer.text
        yield took
        time.sleep(think_s)


def phase_of(place: Installation, job: Job) -> str:
    """Name the phase that a job is in; "" where it waits or is over."""
    found = place.scheduler.job(job.id)
    if found is None or found.get_status() != "started":
        return ""
    return str(found.meta.get("phase") or "")


def measure(
    place: Installation, size: tuple[int, int], rounds: int, think_s: float
) -> dict[str, list[float]]:
    """Click at rest and during jobs, a job for each round; returns seconds by what the job did before and after."""
    found: dict[str, list[float]] = {name: [] for name in (REST, *PHASES)}
    for _ in click_object(place, size, 0.0):  # the first click of all loads what is loaded late
        pass
    for _ in range(rounds):
        for _ in range(4):
            found[REST] += click_object(place, size, think_s)
        job = place.request()
        place.wait("a running job", lambda job=job: phase_of(place, job))
        while before := phase_of(place, job):
            for took in click_object(place, size, think_s):
                after = phase_of(place, job)
                if before in found and before == after:
                    found[before].append(took)
                before = after
        place.wait("the job's end", lambda job=job: place.scheduler.job(job.id).get_status() == "finished")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", default="150", help="of training, a job")
    parser.add_argument("--think", type=float, default=0.3, help="seconds between clicks")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with installed(CLICKMASK_TRAIN_STEPS=options.steps) as place:
        found = measure(place, (width, height), options.rounds, options.think)
    print("| job | clicks | p50, ms | p95, ms | p50 to that at rest |\n|---|---|---|---|---|")
    rest = float(np.median(found[REST]))
    for name, seconds in found.items():
        if seconds:
            p50, p95 = np.percentile(seconds, (50, 95))
            print(f"| {name} | {len(seconds)} | {1e3 * p50:.0f} | {1e3 * p95:.0f} | {p50 / rest:.2f} |")


if __name__ == "__main__":
    main()
