"""Evaluation with a predictor whose answers can be computed by hand: it paints a square around every click."""

import json
from functools import partial

import numpy as np
import pytest

from model.click import Click
from model.evaluation.evaluate import Journal, Rules, evaluate
from model.scene import Sample, Scene


class Painter:
    """Answers with the previous map and a square of 2 * reach + 1 pixels around the last click."""

    def __init__(self, reach: int = 2, value: int = 255) -> None:
        self.reach, self.value = reach, value
        self.batches: list[int] = []

    def predict_many(self, requests):
        self.batches.append(len(requests))
        return [self.answer(r) for r in requests]

    def answer(self, request):
        shape = request.image.shape[:2]
        out = np.zeros(shape, np.uint8) if request.previous is None else request.previous.copy()
        row, column = request.clicks[-1].pixel(*shape)
        rows = slice(max(row - self.reach, 0), row + self.reach + 1)
        out[rows, max(column - self.reach, 0) : column + self.reach + 1] = (
            self.value if request.clicks[-1].positive else 0
        )
        return out


class Oracle(Painter):
    """Knows the truth: it is in the red channel of the image."""

    def answer(self, request):
        return request.image[..., 0].copy()


def sample(name: str, truth: np.ndarray, ignore: np.ndarray | None = None) -> Sample:
    image = np.repeat(truth[..., None].astype(np.uint8) * 255, 3, axis=2)
    return Sample(name, partial(Scene, image, truth, np.zeros_like(truth) if ignore is None else ignore))


def box(width: int, height: int = 5) -> np.ndarray:
    truth = np.zeros((20, 60), bool)
    truth[4 : 4 + height, 4 : 4 + width] = True
    return truth


@pytest.fixture
def samples():
    return [sample(f"box-{width}", box(width)) for width in (5, 10, 25, 50)]


def test_a_perfect_predictor_needs_one_click(samples):
    report = evaluate(Oracle(), samples)
    assert report.noc(0.95) == 1
    assert report.iou_at(1) == report.iou_at(20) == 1
    assert [len(r.clicks) for r in report.records] == [1] * 4  # nothing left to click
    assert report.max_clicks == 20


def test_known_clicks_give_known_figures():
    # 5x10 object, 5x5 squares: deepest are columns 6..11 of the object's middle row, the first one is clicked:
    # half the object. The rest is 5x5 again: its middle completes it.
    record = evaluate(Painter(), [sample("two squares", box(10))]).records[0]
    assert record.clicks == (Click(6.5, 6.5), Click(11.5, 6.5))
    assert record.ious == (0.5, *[1.0] * 19)
    assert record.noc(0.85) == 2


def test_ignored_pixels_do_not_count():
    ignore = box(10) & ~box(5)
    record = evaluate(Painter(), [sample("half ignored", box(10), ignore)]).records[0]
    assert record.ious[0] == 1.0
    assert len(record.clicks) == 1


def test_threshold_is_049_of_255(samples):
    assert evaluate(Painter(value=125), samples[:1]).iou_at(1) == 1  # 125 / 255 = 0.4902
    assert evaluate(Painter(value=124), samples[:1]).iou_at(1) == 0
    assert evaluate(Painter(value=127), samples[:1], Rules(threshold=0.5)).iou_at(1) == 0


def test_one_click_maximum(samples):
    report = evaluate(Painter(), samples, Rules(max_clicks=1))
    assert report.curve() == pytest.approx([(1 + 1 / 2 + 1 / 5 + 1 / 10) / 4])


def test_an_object_that_is_good_enough_gets_no_more_clicks(samples):
    full, short = (evaluate(Painter(), samples, Rules(stop_at=stop)) for stop in (None, 0.4))
    assert [len(r.clicks) for r in full.records] == [1, 2, 5, 10]
    assert [len(r.clicks) for r in short.records] == [1, 1, 2, 4]
    assert [r.ious[-1] for r in short.records] == pytest.approx([1, 0.5, 0.4, 0.4])
    assert short.noc(0.4) == full.noc(0.4)
    assert full.max_clicks == short.max_clicks == 20


def test_a_journal_without_a_file_keeps_records_in_memory(samples):
    journal = Journal(None, {})
    evaluate(Painter(), samples[:2], Rules(), journal)
    again = Painter()
    evaluate(again, samples, Rules(), journal)
    assert set(journal.records) == {sample.id for sample in samples}
    assert again.batches[0] == 2, "two are known"


def test_batches_are_full_and_change_nothing(samples):
    one, three = Painter(), Painter()
    alone = evaluate(one, samples, Rules(batch=1))
    together = evaluate(three, samples, Rules(batch=3, workers=2))
    assert [(r.sample, r.clicks, r.ious) for r in alone.records] == [
        (r.sample, r.clicks, r.ious) for r in together.records
    ]
    assert set(one.batches) == {1}
    assert three.batches[:3] == [3, 3, 2]  # box-5 is perfect, box-50 takes its place; then box-10 is


def test_the_noisy_clicker_is_its_own_game_and_repeatable(samples):
    def played(seed, **pace):
        report = evaluate(Painter(), samples, Rules(clicker="noisy", seed=seed, **pace))
        return [(r.clicks, r.ious) for r in report.records]

    classic = evaluate(Painter(), samples)
    assert played(0) == played(0, batch=2)
    assert played(0) != played(1)
    assert played(0) != [(r.clicks, r.ious) for r in classic.records]


def test_resuming_gives_the_identical_report(tmp_path, samples):
    path, identity = tmp_path / "deep/records.jsonl", {"model": "base-1", **Rules().identity()}
    whole = evaluate(Painter(), samples)

    class Killed(RuntimeError):
        pass

    def kill(record):
        if len(Journal(path, identity).records) == 2:
            raise Killed

    with pytest.raises(Killed):
        evaluate(Painter(), samples, Rules(batch=1), Journal(path, identity), kill)
    path.write_text(path.read_text() + '\n{"sample": "box-50", "iou')  # killed while it wrote
    seen = []
    resumed = evaluate(Painter(), samples, journal=Journal(path, identity), on_record=seen.append)
    assert len(seen) == 4
    assert [(r.sample, r.ious, r.clicks) for r in resumed.records] == [
        (r.sample, r.ious, r.clicks) for r in whole.records
    ]
    idle = Painter()
    again = evaluate(idle, samples, journal=Journal(path, identity))
    assert again == resumed  # seconds too
    assert idle.batches == []


def test_a_journal_of_another_model_or_rules_is_not_used(tmp_path, samples):
    path = tmp_path / "records.jsonl"
    mine = {"model": "base-1", **Rules().identity()}
    evaluate(Painter(), samples, journal=Journal(path, mine))
    for other in (mine | {"model": "base-2"}, mine | Rules(max_clicks=5).identity()):
        assert Journal(path, other).records == {}
    assert len(Journal(path, mine).records) == 4
    assert all(json.loads(line) for line in path.read_text().split("\n") if line)


def test_rules_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="unknown clicker 'wild': use one of classic, noisy"):
        Rules(clicker="wild")
    with pytest.raises(ValueError, match="at least 1"):
        Rules(max_clicks=0)


def test_samples_that_make_no_sense_are_refused(samples):
    with pytest.raises(ValueError, match="there is no object"):
        evaluate(Painter(), [])
    with pytest.raises(ValueError, match="'box-5' occurs twice"):
        evaluate(Painter(), samples + samples[:1])
    with pytest.raises(ValueError, match="'void': the object has no pixel to click"):
        evaluate(Painter(), [sample("void", np.zeros((5, 5), bool))])
