"""Who runs, who waits for whom, and how long."""

from __future__ import annotations

from typing import Any

from backend.web.job_queue import SHOWN, order


def job(project: int, status: str, eta_s: float | None = None) -> dict[str, Any]:
    return {"id": f"{status}-{project}", "project": project, "status": status, "eta_s": eta_s}


def test_a_job_waits_for_the_one_that_runs_and_those_before_it() -> None:
    jobs = [job(4, "queued"), job(3, "queued"), job(2, "started", 100), job(1, "finished")]
    queue = order(jobs, 1, {3: 60.0})
    assert [row["project"] for row in queue.running] == [2]
    assert [(w.job["project"], w.before, w.starts_s) for w in queue.waiting] == [(3, 1, 100), (4, 2, 160)]
    assert [row["project"] for row in queue.over] == [1]
    assert queue.busy


def test_a_second_worker_takes_the_next_job() -> None:
    queue = order([job(3, "queued"), job(2, "queued"), job(1, "started", 100)], 2, {2: 30.0})
    assert [w.starts_s for w in queue.waiting] == [0, 30]


def test_nothing_is_known_behind_a_job_of_unknown_length() -> None:
    queue = order([job(3, "queued"), job(2, "queued"), job(1, "started", 50)], 1, {})
    assert [w.starts_s for w in queue.waiting] == [50, None]
    assert [w.starts_s for w in order([job(2, "queued"), job(1, "started")], 1, {}).waiting] == [None]


def test_without_a_worker_nothing_begins() -> None:
    (waiting,) = order([job(1, "queued")], 0, {1: 60.0}).waiting
    assert waiting.starts_s is None and waiting.before == 0


def test_planned_jobs_come_in_order_and_few_old_ones_are_shown() -> None:
    old = [job(number, "failed") for number in range(9, 9 + 2 * SHOWN)]
    queue = order([job(2, "scheduled"), job(1, "scheduled"), *old], 1, {})
    assert [row["project"] for row in queue.planned] == [1, 2]
    assert [row["project"] for row in queue.over] == list(range(9, 9 + SHOWN))
    assert not queue.busy
