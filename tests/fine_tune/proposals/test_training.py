"""Training of the head: what it is taught, and what it cannot be taught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import model
from fine_tune.proposals.training import CompleteImage, _example, focal_loss, train_head
from model.versions import checkpoint
from model.versions.assemble import Loaded
from tests.fine_tune.proposals.drawn import discs


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return checkpoint.load(Path(model.__file__).parent / "weights")


def test_without_objects_nothing_is_trained(loaded: Loaded):
    empty = discs(0, 0)
    with pytest.raises(ValueError, match="no object"):
        train_head(loaded[0], [empty], 1)


def test_every_step_is_told_and_the_network_stays(loaded: Loaded):
    before = {key: value.clone() for key, value in loaded[0].state_dict().items()}
    told: list[tuple[int, int]] = []
    train_head(loaded[0], [discs(0), discs(1, 0)], 1, steps=3, on_step=lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert all(torch.equal(value, before[key]) for key, value in loaded[0].state_dict().items())


def test_the_same_images_make_the_same_head(loaded: Loaded):
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(train_head(loaded[0], [discs(0)], 1, steps=2).head.state_dict())
    assert all(torch.allclose(value, made[1][name]) for name, value in made[0].items())


@pytest.mark.parametrize("flip", [False, True])
def test_a_speck_is_not_taught_as_background_but_an_objects_centre_counts(loaded: Loaded, flip: bool):
    scene = discs(0)
    ignore = scene.masks[0].copy()
    ignore[2, 7] = ignore[157, 150] = True  # smaller than a cell, and not in its middle
    target = _example(
        loaded[0], CompleteImage(scene.image, scene.masks, scene.labels, ignore), 1, scale=0.5, flip=flip
    )
    weight, heat = (
        array.numpy()[0, :, ::-1] if flip else array.numpy()[0] for array in (target.weight, target.heat)
    )
    assert weight.shape == (24, 24)  # 20 cells of 8 pixels each way, and padding
    left = 4 if flip else 0  # where the image begins
    weight, heat = weight[:20, left:][:, :20], heat[:20, left:][:, :20]
    centres = heat == 1
    assert centres.sum() == 5 and weight[centres].all()
    cells = ignore.reshape(20, 8, 20, 8).any((1, 3))
    assert cells[0, 0] and cells[19, 18]
    np.testing.assert_array_equal(weight == 0, cells & ~centres)


def test_what_is_raised_at_a_step_ends_the_training(loaded: Loaded):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_head(loaded[0], [discs(0)], 1, steps=3, on_step=stop)


def test_the_loss_is_small_for_what_is_right_and_pixels_without_weight_count_nowhere():
    heat, weight = torch.zeros(1, 1, 5, 5), torch.ones(1, 1, 5, 5)
    heat[..., 2, 2] = 1
    right = torch.where(heat == 1, 6.0, -6.0)
    assert focal_loss(right, heat, weight) < 0.01 < focal_loss(-right, heat, weight)
    wrong = right.clone()
    wrong[..., 0, 0] = 6
    assert focal_loss(wrong, heat, weight) > 10 * focal_loss(right, heat, weight)
    weight[..., 0, 0] = 0
    torch.testing.assert_close(focal_loss(wrong, heat, weight), focal_loss(right, heat, weight))


def test_a_miss_beside_a_centre_costs_less_than_one_far_away():
    heat, weight = torch.zeros(1, 1, 1, 5), torch.ones(1, 1, 1, 5)
    heat[..., 0], heat[..., 1] = 1, 0.8
    near, far = torch.full((1, 1, 1, 5), -6.0), torch.full((1, 1, 1, 5), -6.0)
    near[..., 1] = far[..., 4] = 3
    assert focal_loss(near, heat, weight) < focal_loss(far, heat, weight)
