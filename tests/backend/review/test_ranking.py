"""From exported tasks and events to the order of review."""

import weakref
from dataclasses import replace

import pytest

from backend.label_studio.mask_formats import digest
from backend.review.ranking import finished, rank, reviewed
from fine_tune.quality.network import QualityModel
from fine_tune.quality.training import fit
from tests.backend.click_events import disk_map
from tests.backend.reviewed_studio import annotation, doubtful, result, sure
from tests.fine_tune.quality.simulated_steps import records


@pytest.fixture(scope="module")
def model() -> QualityModel:
    return fit(records(300, 1), members=1, epochs=10)


def test_worst_first_with_reasons(model):
    tasks = [
        {"id": 7, "annotations": [annotation(70, result(12, "ab"))]},
        {"id": 8, "annotations": [annotation(80, result(12, "cd"))]},
    ]
    seen = [*sure([("a",), ("a", "b")]), *doubtful([("c",), ("c", "d")], task=8)]
    ranking = rank(tasks, seen, model)
    assert [entry.task for entry in ranking.rated] == [8, 7]
    worst, best = ranking.rated
    assert worst.reasons[0] == "2 clicks"
    assert "the mask contradicts one of the clicks" in worst.reasons
    assert "mask still moved 50% at the last one" in worst.reasons
    assert best.reasons == ("2 clicks",)
    assert worst.annotator == "ann@example.com"
    assert ranking.by_task()[8] < ranking.by_task()[7]


def test_what_was_not_clicked_is_counted_not_rated(model):
    drawn = result(12, "", meta={}, origin="manual")
    drawn["value"]["brushlabels"] = ["Dog"]
    tasks = [{"id": 7, "annotations": [annotation(70, drawn, result(11, "a"))]}]
    ranking = rank(tasks, [*sure([("a",)]), *sure([("z",)])], model)
    assert (len(ranking.rated), ranking.unmatched, ranking.abandoned) == (1, 1, 1)


def test_what_another_annotator_drew_by_hand_has_no_clicks_of_the_first(model):
    drawn = annotation(71, result(12, "", meta={}, origin="manual"), user=2)
    tasks = [{"id": 7, "annotations": [drawn, annotation(70, result(12, "a"))]}]
    ranking = rank(tasks, sure([("a",)]), model)
    assert [entry.annotation for entry in ranking.rated] == [70] and ranking.unmatched == 1


def test_a_proposal_that_was_taken_over_counts_as_its_version_expects(model):
    meta = {"proposed": True, "expected": [0.42, 0.2], "digest": digest.of_mask(disk_map(12) > 0)}
    kept, painted = result(12, "", meta=meta), result(20, "", meta=meta, origin="prediction-changed")
    said = result(12, "", meta=meta, origin="prediction-changed")
    tasks = [{"id": 7, "annotations": [annotation(70, kept), annotation(71, painted), annotation(72, said)]}]
    ranking = rank(tasks, [], model)
    entry, other = ranking.rated
    assert {entry.annotation, other.annotation} == {70, 72}
    assert (entry.quality.iou, entry.quality.uncertainty, ranking.unmatched) == (0.42, 0.2, 1)
    assert entry.reasons == ("proposed, and taken over without a click",)


def test_skipped_and_empty_annotations_are_left_out(model):
    task = {"id": 7, "annotations": [annotation(1, result(11, "a"), was_cancelled=True), annotation(2)]}
    assert list(finished(task)) == []
    assert rank([task], sure([("a",)]), model).rated == ()


def test_the_annotator_of_the_annotation_where_the_trace_has_none(model):
    tasks = [
        {"id": 7, "annotations": [annotation(70, result(11, "a"), user={"id": 4, "email": "b@example.com"})]}
    ]
    assert rank(tasks, sure([("a",)], annotator=""), model).rated[0].annotator == "b@example.com"
    tasks[0]["annotations"][0]["completed_by"] = 4
    assert rank(tasks, sure([("a",)], annotator=""), model).rated[0].annotator == "user 4"


def test_ground_truth_tells_the_iou(model):
    truth = annotation(71, result(22, "", meta={}), user=2, ground_truth=True)
    tasks = [{"id": 7, "annotations": [annotation(70, result(11, "a")), truth]}]
    ((entry, iou),) = reviewed(tasks, rank(tasks, sure([("a",)]), model))
    assert entry.annotation == 70
    assert iou == pytest.approx(0.25, abs=0.03)


def test_one_task_with_its_masks_is_held_at_a_time(model):
    class Task(dict):
        """Can be referred to weakly."""

    held, truth = weakref.WeakValueDictionary(), annotation(71, result(22, "", meta={}), ground_truth=True)
    most = []

    def tasks():
        for number in range(5):
            task = held[number] = Task(id=number, annotations=[annotation(70, result(11, "a")), truth])
            yield task
            del task
            most.append(len(held))

    events = [replace(event, task=number) for number in range(5) for event in sure([("a",)])]
    assert len(reviewed(tasks(), rank(tasks(), events, model))) == 5
    assert max(most) == 1


def test_a_polygon_without_a_size_is_an_opinion(model):
    truth = annotation(71, result(22, "", meta={}), user=2, ground_truth=True)
    (entry,) = truth["result"]
    del entry["original_width"], entry["original_height"]
    entry |= {"type": "polygonlabels"}
    entry["value"] = {"points": [[0, 0], [100, 0], [100, 100], [0, 100]], "polygonlabels": ["Cat"]}
    tasks = [{"id": 7, "annotations": [annotation(70, result(11, "a")), truth]}]
    ((rated, iou),) = reviewed(tasks, rank(tasks, sure([("a",)]), model))
    assert iou == rated.matched.accepted.mask().mean()


def test_a_damaged_mask_is_no_opinion(model):
    truth = annotation(71, result(22, "", meta={}), user=2, ground_truth=True)
    truth["result"][0]["value"]["rle"] = truth["result"][0]["value"]["rle"][:-3]
    tasks = [{"id": 7, "annotations": [annotation(70, result(11, "a")), truth]}]
    assert reviewed(tasks, rank(tasks, sure([("a",)]), model)) == []


def test_other_people_are_an_opinion_oneself_is_none(model):
    twice = [{"id": 7, "annotations": [annotation(70, result(11, "a")), annotation(71, result(11, "a"))]}]
    assert reviewed(twice, rank(twice, sure([("a",)]), model)) == []
    twice[0]["annotations"][1]["completed_by"] = 2
    assert [iou for _, iou in reviewed(twice, rank(twice, sure([("a",)]), model))] == [1, 1]
    twice[0]["annotations"][1]["result"][0]["item_index"] = 0
    assert [iou for _, iou in reviewed(twice, rank(twice, sure([("a",)]), model))] == [1, 1]
    twice[0]["annotations"][1]["result"][0]["item_index"] = 1
    assert 1 not in [iou for _, iou in reviewed(twice, rank(twice, sure([("a",)]), model))]
    twice[0]["annotations"][1]["result"][0]["item_index"] = 0
    twice[0]["annotations"][1]["result"][0]["value"]["brushlabels"] = ["Dog"]
    assert [iou for _, iou in reviewed(twice, rank(twice, sure([("a",)]), model))] == [0, 0]
