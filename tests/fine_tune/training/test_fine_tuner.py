"""Tuning learns, keeps to the base model, and makes do with less memory."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from fine_tune.training import fine_tuner
from fine_tune.training.fine_tuner import Effort, FineTuner, interpolate_weights, tune
from fine_tune.training.lanes import Lanes
from model.scene import Scene
from tests.fine_tune.shape_project import network
from tests.fine_tune.shape_scenes import shape_scene
from tests.model.official_checkpoints import small_vit

EFFORT = Effort(steps=2, batch=4, accelerator="cpu")


def test_memory_that_runs_out_halves_the_batch(monkeypatch: pytest.MonkeyPatch):
    batches, once = [], fine_tuner._once

    def scarce(*arguments):
        batches.append(arguments[3].batch)
        if arguments[3].batch > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return once(*arguments)

    monkeypatch.setattr(fine_tuner, "_once", scarce)
    tune(network(), network(), shape_scene, EFFORT.recipe(10, 64), EFFORT)
    assert batches == [4, 2, 1]


def test_after_three_halvings_it_gives_up(monkeypatch: pytest.MonkeyPatch):
    batches = []

    def full(*arguments):
        batches.append(arguments[3].batch)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fine_tuner, "_once", full)
    with pytest.raises(torch.OutOfMemoryError):
        tune(network(), network(), shape_scene, Effort(steps=2, batch=32).recipe(10, 64), EFFORT)
    assert batches == [32, 16, 8, 4]


def test_the_network_given_is_not_changed_and_statistics_stay():
    start = network()
    before = {k: v.clone() for k, v in start.state_dict().items()}
    tuned = tune(start, start, shape_scene, EFFORT.recipe(10, 64), EFFORT)
    assert all(torch.equal(v, before[k]) for k, v in start.state_dict().items())
    after = tuned.state_dict()
    assert any(not torch.equal(v, before[k]) for k, v in after.items())
    statistics = [k for k in before if "running_" in k]
    assert statistics
    assert all(torch.equal(after[k], before[k]) for k in statistics)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several that share an operation take for ever where other tests run beside them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_step_is_the_same_in_any_number_of_lanes(lanes: int, one_thread: None):
    chance = torch.Generator().manual_seed(0)
    image = torch.randint(0, 255, (4, 3, 64, 64), generator=chance, dtype=torch.uint8)
    guide = torch.rand(4, 3, 64, 64, generator=chance)
    label = (torch.rand(4, 1, 64, 64, generator=chance) > 0.5).float()
    recipe = replace(EFFORT.recipe(1, 64), batch=4)

    def learn(lanes: int) -> tuple[np.ndarray, torch.Tensor]:
        tuner = FineTuner(network(), 1.0, network(), shape_scene, recipe, accelerator="cpu", lanes=lanes)
        tuner.progress.step = 1  # without the distillation, which draws other images in lanes
        with Lanes(lanes) if lanes else nullcontext() as tuner._running:
            answers = tuner._learn(image, guide, label)
        return answers, torch.cat([p.detach().flatten() for p in tuner._plain.parameters()])

    (expected, learned), (answers, same) = learn(0), learn(lanes)
    np.testing.assert_allclose(answers, expected, atol=0.02)
    start = torch.cat([p.detach().flatten() for p in network().parameters()])
    moved = (learned - start).abs().mean()
    assert (same - learned).abs().mean() < 0.2 * moved


def test_a_training_that_is_closed_goes_on_where_it_was(tmp_path):
    effort, steps = Effort(steps=6, batch=4, accelerator="cpu"), []

    class Killed(Exception):
        pass

    def until_third(progress):
        if progress.step == 3:
            raise Killed

    arguments = (network(), network(), shape_scene, effort.recipe(10, 64), effort)
    with pytest.raises(Killed):
        tune(*arguments, until_third, tmp_path)
    tune(*arguments, lambda progress: steps.append(progress.step), tmp_path)
    assert steps == [4, 5, 6]


def test_a_training_whose_state_is_damaged_begins_anew(tmp_path, caplog):
    effort, steps = Effort(steps=2, batch=4, accelerator="cpu"), []
    arguments = (network(), network(), shape_scene, effort.recipe(10, 64), effort)
    tune(*arguments, folder=tmp_path)
    path = tmp_path / "state.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    tune(*arguments, lambda progress: steps.append(progress.step), tmp_path)
    assert steps == [1, 2]
    assert "state.safetensors is not used, the training begins anew" in caplog.text
    steps.clear()
    tune(*arguments, lambda progress: steps.append(progress.step), tmp_path)
    assert steps == [2], "a sound one has taken its place, and tells once how far it came"


def test_a_training_is_bounded_by_its_work():
    cpu = Effort(accelerator="cpu").recipe(1000, 384)
    assert cpu.steps == fine_tuner.CPU_STEPS
    assert cpu.minutes >= 15, "only an outer bound"
    assert Effort(steps=7).recipe(1000, 384).steps == 7


def test_the_sides_of_the_inputs_are_those_that_the_network_takes():
    sides = [Effort().recipe(10, 448, small_vit(patch=patch)).sizes for patch in (16, 14)]
    assert sides == [(224, 288), (224, 224)]


def blank_scene(rng: np.random.Generator) -> Scene:
    """A scene of which nothing counts, so that nothing is learned from it."""
    scene = shape_scene(rng)
    return Scene(scene.image, scene.truth, np.ones_like(scene.ignore))


def on_the_second_device(rng: np.random.Generator) -> Scene:
    return (shape_scene if os.environ["LOCAL_RANK"] == "1" else blank_scene)(rng)


def test_what_the_second_device_sees_is_learned():
    effort = Effort(steps=4, batch=4, distillation_weight=0, accelerator="cpu", devices=2)
    assert effort.recipe(10, 64).batch == 2
    steps: list[int] = []
    tuned = tune(
        network(),
        network(),
        on_the_second_device,
        effort.recipe(10, 64),
        effort,
        lambda p: steps.append(p.step),
    )
    assert steps == [1, 2, 3, 4]
    alone = tune(network(), network(), blank_scene, EFFORT.recipe(10, 64), EFFORT)
    one, other, start = (
        torch.cat([p.detach().flatten() for p in net.parameters()]) for net in (tuned, alone, network())
    )
    assert (one - start).abs().mean() > 2 * (other - start).abs().mean()


def test_the_base_holds_the_network_only_where_they_differ():
    chance = torch.Generator().manual_seed(0)
    image, guide = torch.rand(2, 4, 3, 64, 64, generator=chance)
    label = (torch.rand(4, 1, 64, 64, generator=chance) > 0.5).float()
    base, other = network(), network()
    with torch.no_grad():
        other.head.bias.add_(2.0)

    def loss(net, weight: float) -> float:
        tuner = FineTuner(base, weight, net, shape_scene, EFFORT.recipe(1, 64), accelerator="cpu")
        tuner.network.eval()
        return float(tuner.loss(image, guide, label)[0])

    assert loss(base, 1.0) == pytest.approx(loss(base, 0.0), abs=2e-3)
    assert loss(other, 1.0) > loss(other, 0.0) + 0.05


def test_interpolation_goes_from_the_base_to_the_tuned_network():
    base, tuned = network(), network()
    with torch.no_grad():
        for value in tuned.parameters():
            value.add_(1.0)
    for alpha in (0.0, 0.3, 1.0):
        middle = interpolate_weights(base, tuned, alpha)
        for a, b in zip(base.parameters(), middle.parameters(), strict=True):
            assert torch.allclose(b - a, torch.full_like(a, alpha), atol=1e-5)


def test_replayed_scenes_come_at_their_share():
    own, other = shape_scene(np.random.default_rng(0)), shape_scene(np.random.default_rng(1))
    draw = fine_tuner.with_rehearsal(lambda rng: own, lambda rng: other, 0.3)
    rng = np.random.default_rng(0)
    assert 0.2 < np.mean([draw(rng) is other for _ in range(500)]) < 0.4
    assert fine_tuner.with_rehearsal(shape_scene, None, 0.3) is shape_scene
