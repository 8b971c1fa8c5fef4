"""A batch of annotations that go on from step to step, each with a chance of its own."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from fine_tune.training.click_batch import ClickBatch
from model.scene import Scene
from tests.fine_tune.shape_scenes import shape_scene


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_shapes_types_and_ranges(pool: ThreadPoolExecutor):
    image, guide, label = ClickBatch(shape_scene, 3, seed=0).views(64, pool)
    assert (image.shape, image.dtype) == ((3, 3, 64, 64), torch.uint8)
    assert (guide.shape, guide.dtype) == ((3, 3, 64, 64), torch.float32)
    assert (label.shape, label.dtype) == ((3, 1, 64, 64), torch.float32)
    assert set(label.unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert guide[:, 1:].amax((1, 2, 3)).min() > 0, "every view has a click"


def test_clicks_are_drawn_as_the_network_sees_them(pool: ThreadPoolExecutor):
    disks = ClickBatch(shape_scene, 3, seed=0).views(64, pool)[1]
    wide = ClickBatch(shape_scene, 3, seed=0, encoding=("disk", 9.0)).views(64, pool)[1]
    far = ClickBatch(shape_scene, 3, seed=0, encoding=("distance", 260.0)).views(64, pool)[1]
    assert (wide[:, 1] >= disks[:, 1]).all() and wide[:, 1].sum() > 2 * disks[:, 1].sum()
    assert (far[:, 1][disks[:, 1] > 0] <= np.tanh(2 * 5.01 / 260)).all(), "nearly 0 at clicks"
    assert (far[:, 1].amin((1, 2)) < far[:, 1].amax((1, 2))).all()


def test_the_same_seed_draws_the_same_whatever_the_threads_do(pool: ThreadPoolExecutor):
    for made, again in zip(
        ClickBatch(shape_scene, 4, seed=7).views(64, pool),
        ClickBatch(shape_scene, 4, seed=7).views(64, pool),
        strict=True,
    ):
        assert torch.equal(made, again)
    other = ClickBatch(shape_scene, 4, seed=8).views(64, pool)[0]
    assert not torch.equal(ClickBatch(shape_scene, 4, seed=7).views(64, pool)[0], other)


def test_a_finished_annotation_makes_room_for_a_new_one(pool: ThreadPoolExecutor):
    drawn = []

    def scenes(rng: np.random.Generator) -> Scene:
        drawn.append(1)
        return shape_scene(rng)

    batch = ClickBatch(scenes, 2, seed=0)
    for _ in range(40):
        batch.views(64, pool)
        reached = batch.take(np.zeros((2, 64, 64), np.float32), pool)
        assert 0 <= reached <= 1
    assert len(drawn) > 4, "nobody clicks on one object for ever"
    assert len(drawn) < 80, "and objects are clicked more than once"


def test_answers_follow_views(pool: ThreadPoolExecutor):
    with pytest.raises(AssertionError, match="take follows views"):
        ClickBatch(shape_scene, 1, seed=0).take(np.zeros((1, 64, 64), np.float32), pool)
