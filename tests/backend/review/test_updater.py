"""Published numbers follow the annotations; the webhook never waits for it."""

import threading
import time

import pytest

from backend.review.project_review import COLUMN, tasks_of
from backend.review.updater import SHARE, ReviewUpdater
from tests.backend.reviewed_studio import annotation, result


@pytest.fixture
def refresh(store, review):
    refresh = ReviewUpdater(store, lambda project: review)
    yield refresh
    refresh.stop()


def settle(refresh):
    """Wait for what was put so far: the pool has one thread."""
    refresh._pool.submit(lambda: None).result()


def body(action, **more):
    return {"action": action, "project": {"id": 3}, **more}


def test_unpublished_projects_are_left_alone(refresh, studio):
    refresh.put("ANNOTATION_CREATED", body("", annotation={"id": 70, "task": 7}))
    settle(refresh)
    assert studio.web.requests == []


def test_a_changed_annotation_changes_the_number(refresh, studio, review, store):
    review.rank().publish(store.client())
    studio.tasks[9]["annotations"] = [annotation(91, result(12, "ab"))]
    studio.tasks[8]["data"][COLUMN] = 0.5  # of the annotation as it was before
    studio.tasks[8]["annotations"][0]["result"] = [result(11, "c")]
    refresh.put("ANNOTATION_UPDATED", body("", annotation={"id": 80, "task": 8}))
    settle(refresh)
    (now,) = review.rank([8]).ranking.rated
    assert studio.tasks[8]["data"][COLUMN] == round(now.quality.iou, 3)


def test_a_deleted_annotation_takes_the_number_away(refresh, studio, review, store):
    review.rank().publish(store.client())
    studio.tasks[8]["annotations"] = []
    refresh.put("ANNOTATIONS_DELETED", body("", annotations=[{"id": 80}]))
    settle(refresh)
    assert COLUMN not in studio.tasks[8]["data"]


def test_annotations_made_from_predictions_are_rated_all(refresh, studio, review, store):
    review.rank().publish(store.client())
    for task in (7, 8):
        studio.tasks[task]["data"][COLUMN] = 0.5
    refresh.put("ANNOTATIONS_CREATED", body("", annotation=[{"id": 1, "task": 7}, {"id": 2, "task": 8}]))
    settle(refresh)
    assert 0.5 not in [studio.tasks[task]["data"].get(COLUMN) for task in (7, 8)]


def test_a_deleted_task_is_forgotten(refresh, studio, review, store):
    review.rank().publish(store.client())
    refresh.put("TASKS_DELETED", body("", tasks=[{"id": 8}]))
    settle(refresh)
    assert tasks_of(store.client(), 3, [70, 80]) == {7}


class Counted:
    """A review that notes what it is asked for, and when."""

    def __init__(self):
        self.asked, self.times = [], []

    def rank(self, tasks):
        self.asked.append(set(tasks))
        self.times.append(time.monotonic())
        return self

    def publish(self, client):
        time.sleep(0.02)
        self.times.append(time.monotonic())


def test_all_that_waits_is_rated_at_once_and_then_there_is_a_rest(store, review):
    review.rank().publish(store.client())
    counted = Counted()
    refresh = ReviewUpdater(store, lambda project: counted)
    held = threading.Event()
    refresh._pool.submit(held.wait)
    for number in range(20):
        refresh.put("ANNOTATION_UPDATED", body("", annotation={"id": number, "task": number % 4}))
    refresh.put("ANNOTATIONS_DELETED", body("", annotations=[{"id": 80}]))
    held.set()
    settle(refresh)
    assert counted.asked == [{0, 1, 2, 3, 8}]
    refresh.put("ANNOTATION_UPDATED", body("", annotation={"id": 1, "task": 5}))
    settle(refresh)
    refresh.stop()
    assert counted.asked[1:] == [{5}]
    begun, ended, again, _ = counted.times
    assert again - ended >= (ended - begun) / SHARE


def test_a_task_that_is_gone_does_not_keep_others_from_their_number(refresh, studio, review, store):
    review.rank().publish(store.client())
    studio.tasks[8]["data"][COLUMN] = 0.5
    events = [{"id": 1, "task": 999}, {"id": 80, "task": 8}]
    refresh.put("ANNOTATIONS_CREATED", body("", annotation=events))
    settle(refresh)
    assert studio.tasks[8]["data"][COLUMN] != 0.5


def test_nobody_there_is_logged(refresh, studio, review, store, caplog):
    review.rank().publish(store.client())
    studio.web.close()
    refresh.put("ANNOTATION_UPDATED", body("", annotation={"id": 80, "task": 8}))
    settle(refresh)
    assert "quality of tasks 8 is not updated" in caplog.text


def test_other_events_and_odd_bodies_do_nothing(refresh, studio, review, store):
    review.rank().publish(store.client())
    studio.web.requests.clear()
    refresh.put("PROJECT_UPDATED", body(""))
    for odd in (
        {},
        {"project": "3.17"},
        {"project": {}, "annotation": 5},
        {"project": {"id": 3}, "annotations": 7},
    ):
        refresh.put("ANNOTATION_CREATED", odd)
    settle(refresh)
    assert studio.web.requests == []
