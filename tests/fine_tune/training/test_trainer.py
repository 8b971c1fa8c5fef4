"""The training loop learns, resumes and refuses nonsense."""

import csv
import os
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fine_tune.training import simulated_clicks
from fine_tune.training.multi_gpu import spread
from fine_tune.training.recipe import Recipe
from fine_tune.training.trainer import StateError, Trainer, _precision, averaged_copy
from model.engines.torch_cpu import TorchEngine
from model.inference.predictor import Predictor
from model.networks import build
from tests.fine_tune.shape_scenes import shape_scene

RECIPE = Recipe(steps=100, batch=4, sizes=(96,), rate=2e-3, backbone_share=1.0, ema=0.9, warmup=2)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build("lite0-fpn", width=32, context_layers=1, context_dim=32)


def first_click_iou(network) -> float:
    """Mean IoU after one click on eight shapes that were not drawn in training."""
    predictor = Predictor(TorchEngine(network, 96))
    ious = []
    for seed in range(1000, 1008):
        annotation = simulated_clicks.Annotation(
            scene := shape_scene(np.random.default_rng(seed)), np.zeros((96, 96), np.uint8)
        )
        simulated_clicks.step(annotation, 96, np.random.default_rng(seed))
        annotation.previous = predictor.predict(scene.image, annotation.clicks)
        ious.append(annotation.iou())
    return float(np.mean(ious))


def test_a_short_run_learns_to_segment_shapes(network):
    before = first_click_iou(network)
    trainer = Trainer(network, shape_scene, RECIPE, accelerator="cpu")
    for _ in trainer.run():
        pass
    after = first_click_iou(trainer.averaged)
    assert after > before + 0.3
    assert after > 0.7


def test_a_network_without_its_auxiliary_head_is_trained():
    network = build("hrnet18s-ocr", ocr_width=0)
    trainer = Trainer(network, shape_scene, replace(RECIPE, batch=2, sizes=(64,)), accelerator="cpu")
    assert np.isfinite(next(trainer.run()).loss)


@pytest.mark.parametrize("native", [True, False])
def test_the_network_computes_in_what_the_cpu_computes_in(network, monkeypatch, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native}, raising=False)
    trainer = Trainer(network, shape_scene, RECIPE, accelerator="cpu")
    seen = []
    network.head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    next(trainer.run())
    assert seen == [torch.bfloat16 if native else torch.float32]


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_gpu_that_would_emulate_bfloat16_computes_in_float32(monkeypatch, native, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation
    )
    assert [_precision(device) for device in ("cuda", "auto")] == [precision] * 2


def test_a_killed_run_goes_on_where_it_was_saved(network, tmp_path):
    trainer = Trainer(network, shape_scene, RECIPE, tmp_path, accelerator="cpu")
    run = trainer.run()
    for _ in range(3):
        next(run)
    trainer.save()
    saved = {k: v.clone() for k, v in trainer.averaged.state_dict().items()}
    next(run)  # lost with the kill
    run.close()
    torch.manual_seed(5)
    fresh = build("lite0-fpn", width=32, context_layers=1, context_dim=32)
    again = Trainer(fresh, shape_scene, RECIPE, tmp_path, accelerator="cpu")
    assert again.progress.step == 3
    assert again.optimizer.state_dict()["state"], "the optimizer starts cold"
    for name, value in again.averaged.state_dict().items():
        assert torch.equal(value, saved[name]), name
    next(again.run())
    assert again.progress.step == 4


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def without_progress(path):
    save_file(load_file(path), path)


def with_another_head(path):
    with safe_open(path, "pt") as file:
        note = file.metadata()
    save_file({**load_file(path), "averaged.head.bias": torch.zeros(7)}, path, note)


@pytest.mark.parametrize("damage", [cut, without_progress, with_another_head])
def test_a_state_that_cannot_be_used_is_named_and_changes_nothing(network, tmp_path, damage):
    trainer = Trainer(network, shape_scene, RECIPE, tmp_path, accelerator="cpu")
    next(trainer.run())
    trainer.save()
    path = tmp_path / "state.safetensors"
    damage(path)
    torch.manual_seed(5)
    fresh = build("lite0-fpn", width=32, context_layers=1, context_dim=32)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(StateError, match=r"state\.safetensors: .*remove it to begin anew"):
        Trainer(fresh, shape_scene, RECIPE, tmp_path, accelerator="cpu")
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert path.exists(), "it may be days of training"


def test_a_state_is_on_the_disk_before_it_has_its_name(network, tmp_path, monkeypatch):
    trainer, synced, replace = (
        Trainer(network, shape_scene, RECIPE, tmp_path, accelerator="cpu"),
        [],
        os.replace,
    )

    def rename(part, target):
        assert synced == [os.stat(part).st_ino]
        replace(part, target)

    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    monkeypatch.setattr(os, "replace", rename)
    trainer.save()
    assert synced and (tmp_path / "state.safetensors").exists()


def test_progress_is_logged_when_saving(network, tmp_path):
    trainer = Trainer(network, shape_scene, RECIPE, tmp_path, accelerator="cpu")
    next(trainer.run())
    trainer.save()
    (row,) = csv.DictReader((tmp_path / "log.csv").open())
    assert int(row["step"]) == 1
    assert float(row["loss"]) > 0


def test_a_loss_that_is_not_a_number_stops_the_run(network):
    with torch.no_grad():
        network.head.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="step 0"):
        next(Trainer(network, shape_scene, RECIPE, accelerator="cpu").run())


def late(rng: np.random.Generator):
    """Scenes that reach the second device later, so that its clock is behind."""
    time.sleep(0.02 * int(os.environ["LOCAL_RANK"]))
    return shape_scene(rng)


def by_the_clock(network):
    """Train on two devices, one of which is the slower one, and yield steps and weights of both."""
    recipe = replace(RECIPE, steps=None, minutes=0.05)
    trainer = Trainer(network, late, recipe, accelerator="cpu", devices=2)
    for _ in trainer.run():
        pass
    weights = torch.cat([p.detach().flatten() for p in trainer.averaged.parameters()])
    ended = torch.tensor([trainer.progress.step, float(weights.sum()), float(weights.square().sum())])
    yield trainer.fabric.all_gather(ended).tolist()


def test_two_devices_end_together_with_the_same_weights(network):
    ((one, other),) = spread(2, by_the_clock, network)
    assert one == other
    assert one[0] >= 1  # more where the machine is not busy


def test_a_network_learns_from_its_teacher_where_there_is_no_truth(network, monkeypatch):
    class ClickedPixels(torch.nn.Module):
        """The object is what the positive disks cover."""

        def forward(self, image, guide):
            return 20 * (guide[:, 1:2] - 0.5)

    recipe = replace(RECIPE, steps=100, taught=1.0)
    trainer = Trainer(network, shape_scene, recipe, accelerator="cpu", teacher=ClickedPixels())
    monkeypatch.setattr(trainer, "distance", lambda logits, auxiliary, label: 0 * logits.sum())
    first = None
    for _ in trainer.run():
        first = first or trainer.progress.loss
    assert trainer.progress.loss < 0.6 * first


def test_a_teacher_is_asked_in_the_first_share_of_a_run_only(network):
    asked = []
    teacher = build(
        "lite0-fpn2", width=32, fine_width=16, context_layers=1, context_dim=32, hidden=(16,) * 15
    )
    teacher.head.register_forward_hook(lambda module, inputs, output: asked.append(trainer.progress.step))
    recipe = replace(RECIPE, steps=8, taught=0.5)
    trainer = Trainer(network, shape_scene, recipe, accelerator="cpu", teacher=teacher)
    for _ in trainer.run():
        pass
    assert asked == [0, 1, 2, 3]


def test_the_rate_warms_up_and_falls_for_all_groups(network):
    recipe = replace(RECIPE, steps=6, warmup=3, backbone_share=0.5)
    trainer = Trainer(network, shape_scene, recipe, accelerator="cpu")
    new, old = trainer.optimizer.param_groups
    rates = []
    for _ in trainer.run():
        rates.append(new["lr"])
        assert old["lr"] == pytest.approx(0.5 * new["lr"])
    assert rates[0] == pytest.approx(2 / 3 * recipe.rate)
    assert max(rates) == rates[1]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] == pytest.approx(0.01 * recipe.rate)


def test_the_average_forgets_where_it_began():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    averaged = averaged_copy(network, decay=0.9)
    with torch.no_grad():
        for step in range(60):
            for value in (*network.parameters(), network[1].running_mean):
                value.fill_(float(step))
            averaged.update_parameters(network)
    assert not averaged.module.training
    for value in (*averaged.module.parameters(), averaged.module[1].running_mean):
        assert torch.all((value > 45) & (value < 55))
