import threading

import pytest

from backend.clicks.admission import AdmissionControl, DeadlineExceeded, Overloaded
from backend.logs import request_id
from tests.waiting import until


def occupy(slots: AdmissionControl, count: int) -> tuple[threading.Event, list[threading.Thread]]:
    release = threading.Event()
    threads = [
        threading.Thread(target=slots.run, args=(lambda: release.wait(30), 30), daemon=True)
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    while sum(slots.load()) < count:
        pass
    return release, threads


def test_work_gives_its_result_and_its_errors() -> None:
    slots = AdmissionControl(1, 0)
    assert slots.run(lambda: 7, 60) == 7
    until("its place", lambda: slots.load() == (0, 0))
    with pytest.raises(ZeroDivisionError):
        slots.run(lambda: 1 // 0, 60)
    until("its place", lambda: slots.load() == (0, 0))
    assert slots.run(lambda: 8, 60) == 8


def test_what_finds_no_place_is_refused_at_once() -> None:
    slots = AdmissionControl(1, 1)
    release, threads = occupy(slots, 2)
    assert slots.load() == (1, 1)
    with pytest.raises(Overloaded):
        slots.run(lambda: 1, 5)
    release.set()
    for thread in threads:
        thread.join(30)
    assert slots.run(lambda: 1, 5) == 1


def test_every_change_of_the_load_is_told() -> None:
    told: list[tuple[int, int]] = []
    slots = AdmissionControl(1, 1, lambda running, waiting: told.append((running, waiting)))
    release, threads = occupy(slots, 2)
    release.set()
    for thread in threads:
        thread.join(30)
    until("the end of the last call", lambda: told[-1] == (0, 0))
    assert told == [(1, 0), (1, 1), (1, 0), (0, 0)]


def test_the_deadline_ends_the_waiting_but_not_the_work() -> None:
    slots = AdmissionControl(1, 0)
    release, done = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(30)
        done.set()

    with pytest.raises(DeadlineExceeded):
        slots.run(work, 0.05)
    with pytest.raises(Overloaded):  # it still holds its place
        slots.run(lambda: 1, 5)
    release.set()
    assert done.wait(30)


def test_a_timeout_inside_the_work_is_the_works_own() -> None:
    def work() -> None:
        raise TimeoutError("download")

    with pytest.raises(TimeoutError, match="download"):
        AdmissionControl(1, 0).run(work, 5)


def test_the_request_id_goes_along() -> None:
    token = request_id.set("abc")
    try:
        assert AdmissionControl(1, 0).run(request_id.get, 5) == "abc"
    finally:
        request_id.reset(token)
