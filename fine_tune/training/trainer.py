"""The training loop, shared by training from ImageNet weights and by fine-tuning a project's model."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fine_tune.training.backbone import freeze, freeze_statistics, parameter_groups
from fine_tune.training.click_batch import ClickBatch, SceneSource
from fine_tune.training.depthwise import DepthwiseInFloat32
from fine_tune.training.losses import DivergedError, binary_cross_entropy, divergence, normalized_focal_loss
from fine_tune.training.multi_gpu import fabric_class
from fine_tune.training.recipe import Progress, Recipe
from model.errors import ClickmaskError

Tensors = list[Tensor] | tuple[Tensor, ...]


def averaged_copy(network: nn.Module, decay: float) -> AveragedModel:
    """Copy a network into an exponential moving average of its weights and buffers.

    The decay grows to its full value over the first updates, so that the mean soon forgets where training began.
    """

    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        step = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))(averaged, current, count)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True).eval()


class StateError(ClickmaskError, ValueError):
    """The state of a training cannot be gone on with; the message names the file."""


class Trainer:
    """Trains a network on simulated clicks, and can be resumed at any moment.

    Args:
        network: trained in place; the exponential moving average of its weights is in `averaged`.
        scenes: draws scenes (called from several threads, each with its own generator).
        recipe: see `Recipe`.
        folder: state and `log.csv`; a run found there is continued. None keeps nothing.
        accelerator, devices: as Lightning Fabric understands them.
        teacher: a trained network whose probabilities are learnt beside the truth in the first `recipe.taught`.

    Raises:
        StateError: the state in the folder is damaged, or that of another network.
    """

    save_every_s = 120.0

    def __init__(
        self,
        network: nn.Module,
        scenes: SceneSource,
        recipe: Recipe,
        folder: Path | None = None,
        accelerator: str = "auto",
        devices: int | str = 1,
        teacher: nn.Module | None = None,
    ) -> None:
        self.recipe, self.folder, self.progress = recipe, folder, Progress()
        self.fabric = fabric_class()(
            accelerator=accelerator, devices=devices, precision=_precision(accelerator)
        )
        self.fabric.launch()
        self._ema = averaged_copy(network, recipe.ema)
        self._plain = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(
            parameter_groups(network, recipe), weight_decay=recipe.weight_decay, fused=accelerator != "mps"
        )
        self._scheduled = optimizer
        self.network, self.optimizer = self.fabric.setup(self._plain, optimizer)
        self._answering: Any = self.network  # what `forward` asks
        if hasattr(network, "forward_train"):
            self.network.mark_forward_method("forward_train")
        self._ema.to(self.fabric.device)
        self.teacher = None if teacher is None else freeze(teacher).to(self.fabric.device)
        seed = recipe.seed * 1000 + self.fabric.global_rank
        batch = partial(ClickBatch, scenes, recipe.batch, encoding=recipe.encoding)
        self._batches = [batch(seed=seed * 100 + group) for group in range(recipe.groups)]
        self._rng = np.random.default_rng((recipe.seed, 7))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._resume(folder / "state.safetensors")

    @property
    def averaged(self) -> nn.Module:
        """The result: the network with averaged weights, in evaluation mode."""
        return self._ema.module

    def run(self) -> Iterator[Progress]:
        """Train to the end of the recipe and yield after every step. Stop iterating to stop training."""
        saved = started = time.monotonic()
        before = self.progress.seconds
        self.progress.share = self._share()
        factors: list[Callable[[int], float]] = [
            partial(self._rate_factor, group["warmup"]) for group in self._scheduled.param_groups
        ]
        schedule = LambdaLR(self._scheduled, factors)
        with ThreadPoolExecutor(self.recipe.workers) as pool, ThreadPoolExecutor(len(self._batches)) as ahead:
            sizes = [self._size() for _ in self._batches]
            ready = [ahead.submit(b.views, s, pool) for b, s in zip(self._batches, sizes, strict=True)]
            while self.progress.share < 1:
                place = self.progress.step % len(self._batches)
                answers = self._learn(*ready[place].result())
                ready[place] = ahead.submit(self._next_views, self._batches[place], answers, pool)
                self.progress.step += 1
                self.progress.seconds = before + time.monotonic() - started
                self.progress.share = self._share()
                schedule.step()
                if time.monotonic() - saved > self.save_every_s:
                    self.save()
                    saved = time.monotonic()
                yield self.progress
        self.save()

    def _next_views(
        self, batch: ClickBatch, answers: np.ndarray, pool: ThreadPoolExecutor
    ) -> tuple[Tensor, Tensor, Tensor]:
        iou = batch.take(answers, pool)
        self.progress.iou += (iou - self.progress.iou) * 0.02
        return batch.views(self._size(), pool)

    def _size(self) -> int:
        late = self.recipe.late_sizes if self.progress.share > 0.6 else ()
        return int(self._rng.choice(late or self.recipe.sizes))

    def _share(self) -> float:
        """Compute how much of the run is done (0..1) by the clock of the first device.

        With a clock each, devices would learn at different rates, and wait for ever for one that ended a step before.
        """
        by_steps = self.progress.step / self.recipe.steps if self.recipe.steps else 0.0
        by_time = self.progress.seconds / (60 * self.recipe.minutes) if self.recipe.minutes else 0.0
        return float(self.fabric.broadcast(max(by_steps, by_time)))

    def _learn(self, image: Tensor, guide: Tensor, label: Tensor) -> np.ndarray:
        """Make one optimizer step; return the probabilities BxSxS that the annotations go on with."""
        device = self.fabric.device
        image, guide, label = (
            t.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
            for t in (image, guide, label)
        )
        image = image.float() / 255
        self.network.train()
        freeze_statistics(self._plain)
        value, logits = self.backward(image, guide, label)
        self.fabric.clip_gradients(self.network, self.optimizer, max_norm=5.0, error_if_nonfinite=False)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._ema.update_parameters(self._plain)
        if not np.isfinite(value):
            raise DivergedError(f"the loss became {value} at step {self.progress.step}: lower the rate")
        self.progress.loss += (value - self.progress.loss) * (0.02 if self.progress.step else 1.0)
        return torch.sigmoid(logits[:, 0].float()).cpu().numpy()

    def backward(self, image: Tensor, guide: Tensor, label: Tensor) -> tuple[float, Tensor]:
        """Compute the gradients of one batch; return its loss and its logits (Bx1xSxS), detached.

        Args:
            image: Bx3xSxS in 0..1.
            guide: Bx3xSxS in 0..1.
            label: Bx1xSxS, see `normalized_focal_loss`.
        """
        loss, logits = self.loss(image, guide, label)
        self.fabric.backward(loss)
        return float(loss.detach()), logits.detach()

    def loss(self, image: Tensor, guide: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Compute loss and main logits of a batch, arguments as for `backward`; fine-tuning adds terms of its own."""
        logits, auxiliary = self.forward(image, guide)
        loss = self.distance(logits, auxiliary, label)
        if self.teacher is not None and self.progress.share < self.recipe.taught:
            loss = loss + self.recipe.teacher_weight * self.divergence(logits, auxiliary, image, guide)
        return loss, logits

    def divergence(self, logits: Tensor, auxiliary: Tensor | None, image: Tensor, guide: Tensor) -> Tensor:
        """Compute how far the answers are from the teacher's (distillation, arXiv 1503.02531).

        Pixels without a truth count as well.
        """
        teacher: Any = self.teacher
        with torch.no_grad(), self.fabric.autocast():
            if auxiliary is None or not hasattr(teacher, "forward_train"):
                main, aside = teacher(image, guide), None
            else:
                main, aside = teacher.forward_train(image, guide)
        loss = divergence(logits, main)
        return loss if auxiliary is None or aside is None else loss + 0.4 * divergence(auxiliary, aside)

    def forward(self, image: Tensor, guide: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute main and auxiliary logits; None for the latter where the network has no auxiliary head."""
        # On one device Fabric calls other methods than forward() without autocast.
        with self.fabric.autocast(), DepthwiseInFloat32():
            if not hasattr(self._plain, "forward_train"):
                return self._answering(image, guide).float(), None
            main, auxiliary = self._answering.forward_train(image, guide)
        return main.float(), None if auxiliary is None else auxiliary.float()

    def distance(self, logits: Tensor, auxiliary: Tensor | None, label: Tensor) -> Tensor:
        """Compute the loss of logits and auxiliary logits against the truth; a scalar."""
        loss = normalized_focal_loss(logits, label)
        return loss if auxiliary is None else loss + 0.4 * binary_cross_entropy(auxiliary, label)

    def _rate_factor(self, warmup: int, _step: int = 0) -> float:
        """Linear warm-up of so many steps, under a cosine down to 1 % of the peak.

        Both follow steps or time, whichever is ahead.
        """
        cosine = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(self.progress.share, 1.0)))
        return float(min((self.progress.step + 1) / warmup, cosine))

    def save(self) -> None:
        """Write weights, averages, optimizer and progress atomically, so that a kill leaves the last state."""
        if self.folder is None or not self.fabric.is_global_zero:
            return
        tensors = self._weights()
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        target = self.folder / "state.safetensors"
        note = {"progress": json.dumps(asdict(self.progress)), "recipe": json.dumps(asdict(self.recipe))}
        save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, f"{target}.part", note)
        with open(f"{target}.part", "rb") as file:
            os.fsync(file.fileno())  # a power cut would otherwise leave the name of what was not written
        os.replace(f"{target}.part", target)
        self._log()

    def _log(self) -> None:
        assert self.folder is not None
        path = self.folder / "log.csv"
        row = asdict(self.progress)
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    def _weights(self) -> dict[str, Tensor]:
        """Name the weights and their averages as they are saved."""
        parts = {"network": self._plain, "averaged": self.averaged}
        return {f"{part}.{k}": v for part, network in parts.items() for k, v in network.state_dict().items()}

    def _resume(self, path: Path) -> None:
        """Go on from a saved state, where there is one.

        Raises:
            StateError: it is damaged, or that of another network; nothing has changed.
        """
        if not path.exists():
            return
        state: dict[int, dict[str, Tensor]] = {}
        try:
            tensors = load_file(path)
            with safe_open(path, "pt") as file:
                progress = Progress(**json.loads(file.metadata()["progress"]))
            for key, value in _part(tensors, "optimizer.").items():
                index, name = key.split(".", 1)
                state.setdefault(int(index), {})[name] = value
            saved = {key: value.shape for key, value in tensors.items() if not key.startswith("optimizer.")}
            if saved != {key: value.shape for key, value in self._weights().items()}:
                raise ValueError("it is the state of another network")
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            fix = "put a sound one in its place, or remove it to begin anew"
            raise StateError(f"{path}: the training cannot go on from it ({error}); {fix}") from error
        self.progress = progress
        self._plain.load_state_dict(_part(tensors, "network."))
        self.averaged.load_state_dict(_part(tensors, "averaged."))
        self._ema.n_averaged.fill_(self.progress.step)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _precision(accelerator: str) -> str:
    """Choose bfloat16 where the hardware computes in it; what would emulate it keeps float32."""
    if accelerator == "cuda" or (accelerator == "auto" and torch.cuda.is_available()):
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # since torch 2.10
    return "bf16-mixed" if accelerator != "mps" and capabilities.get("avx512_bf16") else "32-true"
