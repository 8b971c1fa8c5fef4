"""The general set is the same everywhere and worth clicking."""

import numpy as np

from fine_tune.data import synthetic_scenes
from model.evaluation.clicker import next_click


def test_the_set_is_fixed():
    one, again = synthetic_scenes.scene(3), synthetic_scenes.scene(3)
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.truth, again.truth)


def test_every_object_can_be_clicked_and_differs_from_its_ground():
    samples = synthetic_scenes.samples()
    assert len({sample.id for sample in samples}) == synthetic_scenes.COUNT
    for sample in samples:
        scene = sample.load()
        assert scene.image.dtype == np.uint8
        assert scene.image.shape[:2] == scene.truth.shape
        assert 0.01 < scene.truth.mean() < 0.5, sample.id
        assert next_click(scene.truth, np.zeros_like(scene.truth)) is not None
