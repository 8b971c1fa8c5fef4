"""A review against a real Redis and a loopback Label Studio, with the shipped quality model."""

import copy
import json

import pytest

from backend.review.project_review import (
    COLUMN,
    TAB,
    ReviewError,
    distribution,
    forget_tasks,
    published,
    tasks_of,
)
from tests.backend.http_server import answers
from tests.backend.reviewed_studio import annotation, result


def test_ranking_only_reads(review, studio, store):
    ranking = review.rank().ranking
    assert [entry.task for entry in ranking.rated] == [8, 7]
    assert ranking.unmatched == 1
    assert studio.writes() == []
    assert not published(store.client(), 3)


def test_no_masks_of_tasks_are_kept(review):
    ranked = review.rank()
    assert [sorted(task) for task in ranked.tasks] == [["data", "id"]] * 3
    codes = [entry.matched.accepted.regions[0].value["rle"] for entry in ranked.ranking.rated]
    assert all(isinstance(code, bytes) for code in codes), "a list of numbers takes eight times as much"


def test_publishing_writes_numbers_and_the_tab_and_never_annotations(review, studio, store):
    before = copy.deepcopy([task["annotations"] for task in studio.tasks.values()])
    assert review.rank().publish(store.client()) == 2
    numbers = {number: task["data"].get(COLUMN) for number, task in studio.tasks.items()}
    assert 0 < numbers[8] < numbers[7] < 1
    assert numbers[9] is None
    assert studio.tasks[7]["data"]["image"] == "a.jpg"
    assert [task["annotations"] for task in studio.tasks.values()] == before
    (view,) = studio.views
    assert (view["data"]["title"], view["data"]["ordering"]) == (TAB, [f"tasks:data.{COLUMN}"])


def test_a_person_has_one_name(review, studio, store):
    """Label Studio's export has the number of an account, the log of clicks and a single task have its e-mail."""
    studio.web.routes["/api/users/"] = answers(200, b'[{"id": 1, "email": "ann@example.com"}]')
    meta = {"proposed": True, "expected": [0.42, 0.2]}
    studio.tasks[9]["annotations"] = [annotation(90, result(12, "", meta=meta))]
    review.rank().publish(store.client())
    assert {name: len(ious) for name, ious in distribution(store.client(), 3).items()} == {
        "ann@example.com": 3
    }


def test_publishing_again_changes_nothing(review, studio, store):
    review.rank().publish(store.client())
    done = len(studio.writes())
    assert review.rank().publish(store.client()) == 0
    assert len(studio.writes()) == done


def test_one_task_is_kept_up_to_date(review, studio, store):
    review.rank().publish(store.client())
    studio.tasks[8]["annotations"] = []
    assert review.rank([8]).publish(store.client()) == 1
    assert COLUMN not in studio.tasks[8]["data"]
    assert COLUMN in studio.tasks[7]["data"]
    assert distribution(store.client(), 3).keys() == {"ann@example.com"}
    assert len(distribution(store.client(), 3)["ann@example.com"]) == 1


def test_what_went_without_an_event_is_forgotten_with_the_next_review(review, studio, store):
    assert review.rank().publish(store.client()) == 2
    studio.tasks[8]["annotations"] = []
    del studio.tasks[7], studio.web.routes["/api/tasks/7/"]
    assert review.rank().publish(store.client()) == 1
    assert COLUMN not in studio.tasks[8]["data"]
    assert distribution(store.client(), 3) == {}
    assert published(store.client(), 3)


def test_what_is_damaged_in_redis_is_left_out(review, studio, store):
    review.rank().publish(store.client())
    damaged = ["{", "[]", "null", '{"task": 8}', b"\xff", '{"task": 8, "annotator": "a", "iou": "much"}']
    mapping = {f"80/damaged{number}": text for number, text in enumerate(damaged)}
    store.client().hset("clickmask:quality:3", mapping={**mapping, b"\xff": "x"})
    assert tasks_of(store.client(), 3, [80]) == {8}
    assert len(distribution(store.client(), 3)["ann@example.com"]) == 2
    studio.tasks[8]["annotations"] = []
    assert review.rank([8]).publish(store.client()) == 1
    assert len(distribution(store.client(), 3)["ann@example.com"]) == 1
    forget_tasks(store.client(), 3, {7, 8})
    assert distribution(store.client(), 3) == {}


def test_what_is_kept_of_a_published_project(review, store):
    review.rank().publish(store.client())
    assert published(store.client(), 3)
    assert not published(store.client(), 4)
    assert tasks_of(store.client(), 3, [80, 12345]) == {8}
    assert sorted(map(len, distribution(store.client(), 3).values())) == [2]


def test_calibration_needs_reviews_and_is_kept(review, studio, store, tmp_path, caplog):
    with pytest.raises(ReviewError, match="0 reviewed annotations are too few"):
        review.calibrate()
    studio.tasks[7]["annotations"] = [
        annotation(1000, result(12, "", meta={}), user=2, ground_truth=True),
        *[annotation(100 + i, result(12, "ab")) for i in range(25)],
    ]
    plain = [entry.quality.iou for entry in review.rank().ranking.rated if entry.task == 7]
    ranked = review.calibrate()
    assert ranked.calibration.reviewed == 25
    assert next(e.quality.iou for e in ranked.ranking.rated if e.task == 7) > plain[0]
    file = tmp_path / "quality" / "project-3.json"
    kept = json.loads(file.read_text())
    assert kept["reviewed"] == 25
    assert [e.quality for e in review.rank().ranking.rated] == [e.quality for e in ranked.ranking.rated]
    file.write_text(json.dumps({**kept, "model": "of an earlier release"}))
    assert review.rank().calibration.reviewed == 0
    assert "calibrate again" in caplog.text
    del kept["model"]
    file.write_text(json.dumps(kept))
    assert review.rank().calibration == ranked.calibration, "earlier releases do not tell"


def test_a_damaged_calibration_is_named(review, tmp_path):
    (tmp_path / "quality").mkdir()
    (tmp_path / "quality" / "project-3.json").write_text("{")
    with pytest.raises(ReviewError, match=r"project-3\.json is damaged .*delete it"):
        review.rank()
