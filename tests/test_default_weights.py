"""The weights that ship: complete, described, and good enough to work with on pictures that the tests draw."""

import cv2
import numpy as np
import pytest

from model.engines.factory import create_engine
from model.evaluation.clicker import next_click
from model.evaluation.evaluate import Rules, evaluate
from model.inference.predictor import box_prior
from model.mask_ops import object_box
from model.scene import Sample, Scene
from model.versions import checkpoint
from model.versions.assemble import assemble
from model.versions.registry import PACKAGED
from tests.e2e.photos import body, ground, iou, two_bodies

MAX_BYTES = 3_500_000  # the README says 3 MB


@pytest.fixture(scope="module")
def predictor():
    return assemble(checkpoint.load(PACKAGED), None, create_engine)


def bodies(seed: int) -> Scene:
    """A picture of three shaded bodies; the first is the object."""
    rng = np.random.default_rng(seed)
    image = ground(360, 480, seed)
    masks = []
    for column in rng.permutation(3):
        centre = (90 + 150 * int(column), int(rng.integers(120, 240)))
        axes = (int(rng.integers(35, 65)), int(rng.integers(45, 90)))
        masks.append(body(image, centre, axes, tuple(int(v) for v in rng.integers(60, 250, 3))))
    return Scene(image, masks[0], np.zeros(masks[0].shape, bool))


def test_the_file_is_small_and_its_card_says_what_it_is():
    assert (PACKAGED / checkpoint.WEIGHTS).stat().st_size <= MAX_BYTES
    card = checkpoint.read_card(PACKAGED)
    assert card["architecture"]["name"] == "lite0-fpn2"
    assert card["training"]["data"]
    assert card["training"]["terms"]
    assert set(card["metrics"]) >= {"grabcut50", "berkeley100", "davis345"}


def test_few_clicks_segment_what_the_tests_draw(predictor):
    samples = [Sample(str(seed), lambda seed=seed: bodies(seed)) for seed in range(8)]
    report = evaluate(predictor, samples, Rules(max_clicks=5))
    assert report.iou_at(1) > 0.9
    assert report.iou_at(5) > 0.95


def disc(grey: int, seed: int) -> Scene:
    """A disc of one colour on a ground of one grey, as in drawings and screenshots."""
    rng = np.random.default_rng((grey, seed))
    image, truth = np.full((300, 400, 3), grey, np.uint8), np.zeros((300, 400), np.uint8)
    cv2.circle(
        truth, (int(rng.integers(90, 310)), int(rng.integers(90, 210))), int(rng.integers(30, 80)), 1, -1
    )
    apart = np.array([grey + 110, grey + 70, grey + 150]) % 256
    image[truth > 0] = rng.permutation(apart)
    return Scene(image, truth > 0, np.zeros(truth.shape, bool))


def test_one_click_finds_an_object_on_flat_ground(predictor):
    """Beyond the border of an image a window is flat grey, too, and a network may take one for the other."""
    samples = [
        Sample(f"{grey} {seed}", lambda grey=grey, seed=seed: disc(grey, seed))
        for grey in (20, 60, 80, 100, 120, 127, 128, 145, 200)
        for seed in range(5)
    ]
    report = evaluate(predictor, samples, Rules(max_clicks=1))
    assert np.mean([record.ious[0] > 0.8 for record in report.records]) >= 0.9


def strip(seed: int, length: int, width: int, upright: bool) -> Scene:
    """A long strip with a body every now and then; one of them is the object."""
    rng = np.random.default_rng(seed)
    image = ground(width, length, seed)
    centres = np.arange(width, length - width, 3 * width)
    masks = []
    for centre in centres:
        axes = (int(rng.uniform(0.2, 0.45) * width), int(rng.uniform(0.25, 0.4) * width))
        colour = tuple(int(v) for v in rng.integers(60, 250, 3))
        masks.append(body(image, (int(centre), width // 2), axes, colour))
    truth = masks[int(rng.integers(len(masks)))]
    if upright:
        image, truth = np.ascontiguousarray(image.transpose(1, 0, 2)), np.ascontiguousarray(truth.T)
    return Scene(image, truth, np.zeros(truth.shape, bool))


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(("length", "width"), [(8192, 256), (3000, 60), (2400, 400)])
def test_one_click_finds_an_object_in_a_long_strip(predictor, length, width, upright):
    scene = strip(length, length, width, upright)
    click = next_click(scene.truth, np.zeros_like(scene.truth))
    assert click is not None
    answer = predictor.predict(scene.image, [click])
    assert iou(answer >= 128, scene.truth) > 0.9


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(
    ("shape", "length", "width"), [((1000, 1500), 1300, 20), ((256, 4096), 3500, 50), ((400, 2400), 2000, 60)]
)
def test_a_box_is_enough_for_a_long_bar(predictor, shape, length, width, upright):
    image, truth = ground(*shape, 3), np.zeros(shape, bool)
    top, left = (shape[0] - width) // 2, (shape[1] - length) // 2
    truth[top : top + width, left : left + length] = True
    image[truth] = (200, 60, 50)
    if upright:
        image, truth = np.ascontiguousarray(image.transpose(1, 0, 2)), np.ascontiguousarray(truth.T)
    box = object_box(truth)
    assert iou(predictor.predict(image, [], box_prior(truth.shape, box)) >= 128, truth) > 0.8


def test_one_click_tells_two_alike_apart(predictor):
    image, *masks = two_bodies()
    for truth in masks:
        click = next_click(truth, np.zeros_like(truth))
        assert click is not None
        assert iou(predictor.predict(image, [click]) >= 128, truth) > 0.95


def test_a_box_is_enough_for_a_plain_object(predictor):
    image, red, _ = two_bodies()
    prior = box_prior(red.shape, object_box(red))
    assert iou(predictor.predict(image, [], prior) >= 128, red) > 0.9
