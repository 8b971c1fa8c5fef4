"""From clicks to maps, with the real network (untrained) behind the real predictor."""

import numpy as np
import pytest
import torch

from model.click import Click
from model.engines.torch_cpu import TorchEngine
from model.inference.predictor import Predictor, Request, box_prior, quantise, replay
from model.inference.stretch import stretched_crop
from model.networks import build

CLICKS = [Click(40.0, 30.0), Click(70.0, 50.0, positive=False), Click(20.0, 60.0)]


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    network = build("lite0-fpn2")
    torch.nn.init.normal_(network.head.weight, std=1.0)
    return Predictor(TorchEngine(network, 64))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


class Painter:
    """An engine that answers 1 around positive clicks: what it sees can be computed by hand."""

    size, device = 64, "test"

    def __init__(self) -> None:
        self.calls = 0

    def run(self, image, guide):
        self.calls += 1
        return np.maximum(guide[:, 0], guide[:, 1])


class Dots(Painter):
    """An engine that answers 1 around positive clicks and nothing else."""

    def run(self, image, guide):
        self.calls += 1
        return guide[:, 1]


def test_a_map_has_the_size_of_the_image(predictor, image):
    result = predictor.predict(image, CLICKS[:1])
    assert result.shape == (90, 120)
    assert result.dtype == np.uint8


def test_replay_is_the_chain_of_predictions(predictor, image):
    first = predictor.predict(image, CLICKS[:1])
    second = predictor.predict(image, CLICKS[:2], first)
    third = predictor.predict(image, CLICKS, second)
    np.testing.assert_array_equal(replay(predictor, image, CLICKS), third)


def test_many_answer_as_one_by_one(predictor, image):
    requests = [
        Request(image, CLICKS[:1]),
        Request(image[:50], CLICKS[:1], box_prior((50, 120), (10, 10, 60, 40))),
    ]
    together = predictor.predict_many(requests)
    alone = [predictor.predict(r.image, r.clicks, r.previous) for r in requests]
    for a, b in zip(together, alone, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1


def test_the_answer_lands_where_the_click_was(image):
    result = Predictor(Painter(), radius=6.0, refine=False).predict(image, [Click(100.5, 20.5)])
    rows, cols = np.nonzero(result >= 128)
    assert abs(rows.mean() - 20.0) < 1.0
    assert abs(cols.mean() - 100.0) < 1.0
    assert 15 < cols.max() - cols.min() < 30  # radius 6 of 64 input pixels is about 11 of 120 image pixels


@pytest.mark.parametrize(("refine", "looks"), [(True, 2), (False, 1)])
def test_a_first_answer_is_looked_at_again(image, refine, looks):
    engine = Painter()
    Predictor(engine, refine=refine).predict(image, [Click(60.0, 45.0)])
    assert engine.calls == looks


def test_a_later_click_is_looked_at_once(image):
    engine = Painter()
    Predictor(engine, refine=True).predict(image, [Click(60.0, 45.0)], np.zeros((90, 120), np.uint8))
    assert engine.calls == 1


def test_clicks_on_a_mask_are_looked_at_by_the_engine_for_them(image):
    first, later = Painter(), Painter()
    predictor = Predictor(first, refine=False, later=later)
    mask = np.full((90, 120), 200, np.uint8)
    predictor.predict_many(
        [Request(image, CLICKS[:1]), Request(image, CLICKS[:2], mask), Request(image, [], mask)]
    )
    assert (first.calls, later.calls) == (1, 1)


def test_large_images_are_looked_at_by_the_engine_for_them(image):
    first, large = Painter(), Painter()
    predictor = Predictor(first, refine=False, large=large, large_from=120)
    mask = np.full((90, 120), 200, np.uint8)
    predictor.predict_many(
        [Request(image, CLICKS[:1]), Request(image, CLICKS[:2], mask), Request(image[:, :119], CLICKS[:1])]
    )
    assert (first.calls, large.calls) == (1, 1)  # one pass for both clicks on the large image


def test_a_late_click_changes_far_off_parts_only_where_nothing_is_merged():
    image, mask = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint8)
    mask[5:15, 5:15] = mask[80:95, 80:95] = 255  # the second part is not painted again
    clicks = [Click(10.0, 10.0)] * 3
    assert Predictor(Dots(), refine=False).predict(image, clicks, mask)[90, 90] == 255
    assert Predictor(Dots(), refine=False, merge_from=None).predict(image, clicks, mask)[90, 90] == 0


def test_the_window_can_be_chosen_otherwise():
    """A stretched window shows a small object of a wide image with its own proportions lost, and puts it back."""
    image, mask = np.zeros((300, 600, 3), np.uint8), np.zeros((300, 600), np.uint8)
    mask[100:120, 100:500] = 255
    predictor = Predictor(Painter(), zoom_in=stretched_crop, merge_from=None)
    result = predictor.predict(image, [Click(300.0, 110.0)], mask)
    rows, cols = np.nonzero(result >= 128)
    assert (
        np.abs(np.subtract((rows.min(), rows.max(), cols.min(), cols.max()), (100, 119, 100, 499))).max() <= 9
    )


def test_what_a_later_click_changed_is_looked_at_closer():
    image, mask = np.zeros((400, 400, 3), np.uint8), np.zeros((400, 400), np.uint8)
    mask[100:300, 100:300] = 255
    closer = Dots()
    clicks = [Click(370.0, 200.0)]
    result = Predictor(Painter(), closer=closer).predict(image, clicks, mask)
    assert closer.calls == 1
    plain = Predictor(Painter()).predict(image, clicks, mask)
    np.testing.assert_array_equal(result[:, :300], plain[:, :300])
    added, roughly = ((m[:, 300:] >= 128).sum() for m in (result, plain))
    assert 0 < added < 0.5 * roughly  # a disk of as many pixels of a larger picture


def test_a_first_click_is_not_looked_at_closer(image):
    closer = Painter()
    Predictor(Painter(), closer=closer).predict(image, [Click(60.0, 45.0)])
    assert closer.calls == 0


@pytest.mark.parametrize(
    ("box", "clicked"), [((10, 40, 110, 50), True), ((50, 0, 56, 90), True), ((10, 30, 100, 50), False)]
)
def test_a_long_box_is_clicked_in_its_middle(predictor, image, box, clicked):
    prior, middle = box_prior((90, 120), box), Click((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    alike = np.array_equal(predictor.predict(image, [], prior), predictor.predict(image, [middle], prior))
    assert alike == clicked


def test_a_long_mask_is_not_clicked(predictor, image):
    bar = box_prior((90, 120), (10, 40, 110, 50)) * 2 - 1
    unclicked = predictor.predict(image, [], bar)
    assert not np.array_equal(unclicked, predictor.predict(image, [Click(60.0, 45.0)], bar))


def test_only_a_first_click_loses_doubtful_parts(image):
    class Two(Painter):
        """An engine that is sure at positive clicks, and half sure at the right edge of its input."""

        def run(self, image, guide):
            answer = guide[:, 1].copy()
            answer[:, :, 56:] = 0.6
            return answer

    predictor = Predictor(Two(), merge_from=None)
    first = predictor.predict(image, CLICKS[:1])
    assert first.max() > 200
    assert 153 not in first
    assert 153 in predictor.predict(image, CLICKS[::2], first)


def test_a_box_prior_is_undecided_inside_and_needs_no_click(image):
    prior = box_prior((90, 120), (10.2, 20.4, 60.0, 50.0))
    assert set(np.unique(prior)) == {0, 128}
    assert prior[20:50, 10:60].all()
    assert prior.astype(bool).sum() == 30 * 50
    assert Predictor(Painter()).predict(image, [], prior).shape == (90, 120)


def test_a_box_without_area_still_marks_a_pixel():
    assert box_prior((10, 10), (4, 4, 4, 4)).astype(bool).sum() == 1


def test_quantise_rounds_to_the_nearest_level():
    levels = quantise(np.array([0.0, 0.5, 1.0, 0.001, 127.4 / 255], np.float32))
    assert levels.tolist() == [0, 128, 255, 0, 127]


def test_nothing_asked_nothing_answered(predictor):
    assert predictor.predict_many([]) == []
