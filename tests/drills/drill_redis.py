"""Redis stopped, slow, full, and started again empty."""

from __future__ import annotations

import time

import pytest

from tests.backend.annotated_project import PROJECT
from tests.drills.installation import COUNT, Installation
from tests.drills.results import note
from tests.drills.slow_link import SlowLink

SLOW_S = 1.0


@pytest.fixture(scope="module", autouse=True)
def silence(place: Installation):
    """Nothing that happens here is worth a traceback of ours or an internal error."""
    yield
    place.assert_quiet("serve.log")  # RQ, in the worker, tells of its troubles with Redis in its own way


def clicks(place: Installation, count: int = 10) -> list[float]:
    return sorted(place.click(1 + number % COUNT) for number in range(count))


def pace(took: list[float]) -> str:
    return f"clicks p50 {took[len(took) // 2]:.2f} s, longest {took[-1]:.2f} s"


def test_a_redis_that_is_stopped(place: Installation) -> None:
    job = place.reach("training")
    place.server.stop()
    took = clicks(place)
    assert [place.accept(number) for number in range(1, COUNT + 1)] == [202] * COUNT
    assert place.asked("GET", "/ready") == 200
    time.sleep(5)
    place.server.start()
    back = time.monotonic()
    place.wait("all events", place.counted)
    waited = time.monotonic() - back
    place.ended(job)
    place.learns()
    note(
        "Redis stopped for some seconds, during a job",
        "clicks are answered without it; events wait in memory; the job goes on",
        f"{pace(took)}; all {COUNT} events written {waited:.1f} s after its return",
    )


def test_a_redis_that_is_full(place: Installation) -> None:
    client = place.server.client()
    job = place.reach("training")
    client.config_set("maxmemory", "1mb")
    try:
        took = clicks(place)
        assert [place.accept(number) for number in range(1, COUNT + 1)] == [202] * COUNT
        time.sleep(5)
        assert not place.counted()
    finally:
        client.config_set("maxmemory", "0")
    back = time.monotonic()
    place.wait("all events", place.counted)
    waited = time.monotonic() - back
    place.ended(job)
    place.learns()
    note(
        "Redis full (maxmemory, noeviction), during a job",
        "as if it were away",
        f"{pace(took)}; all {COUNT} events written {waited:.1f} s after there is room",
    )


def test_a_redis_that_starts_again_empty(place: Installation) -> None:
    job = place.reach("training")
    assert [place.accept(number) for number in range(1, COUNT + 1)] == [202] * COUNT
    place.wait("all events", place.counted)
    place.server.client().flushall()
    place.server.stop()
    place.server.start()
    clicks(place)
    assert place.asked("POST", "/setup", {"project": f"{PROJECT}.1", "schema": "<View/>"}) == 200
    assert place.accept(1) == 202
    begin = time.monotonic()
    place.wait("the lock of the lost job", lambda: not place.scheduler.running(PROJECT))
    again = place.request()
    assert again.id != job.id
    place.ended(again)
    assert place.learned()
    note(
        "Redis started again empty, during a job",
        "jobs and notes are lost; annotations are asked of Label Studio again",
        f"all {COUNT} annotations counted and learned after {time.monotonic() - begin:.0f} s",
    )


def test_a_redis_that_is_slow(place: Installation) -> None:
    link = SlowLink(place.server.url.removeprefix("unix://"))
    try:
        place.restart(CLICKMASK_REDIS_URL=link.url)
        link.delay_s = SLOW_S
        took = clicks(place, 20)
        assert [place.accept(number) for number in range(1, COUNT + 1)] == [202] * COUNT
        job = place.request()
        link.delay_s = 0.05  # a worker's commands may take their time
        place.ended(job)
        place.wait("all events", place.counted)
        place.learns()
        note(
            f"Redis slow ({SLOW_S:.0f} s each way)",
            "given up after 0.25 s, and left alone for 5 s",
            pace(took),
        )
    finally:
        link.close()
        place.restart(CLICKMASK_REDIS_URL=place.server.url)
