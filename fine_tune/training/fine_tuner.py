"""Fine-tuning: train a project's model on its own objects without forgetting the general case.

Three things hold the network: batch norm keeps its statistics; on a part of every batch, with clicks that belong to
another image, it must answer as the base model does (learning without forgetting, arXiv 1606.09282); and the result
can be moved back towards the base model's weights (WiSE-FT, arXiv 2109.01903), which `interpolate_weights` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from fine_tune.training.backbone import freeze, freeze_statistics
from fine_tune.training.click_batch import SceneSource
from fine_tune.training.frozen_norm import agrees, fold_frozen_norms
from fine_tune.training.lanes import Lanes
from fine_tune.training.multi_gpu import spread
from fine_tune.training.recipe import Progress, Recipe
from fine_tune.training.trainer import StateError, Trainer
from model.inference.click_maps import STANDARD
from model.networks import nearest_size
from model.scene import Scene

logger = logging.getLogger(__name__)

CPU_STEPS = 360  # less than five minutes on two cores with AVX2
OUT_OF_MEMORY = 3  # so often is the batch halved
DISTIL_EVERY = 4  # the base model is asked in one of so many steps
DISTIL_PART = 4  # on one in so many places of the batch, which costs a quarter of such a step
PROBE = 64  # pixels: input side on which networks are compared


@dataclass(frozen=True)
class Effort:
    """How much is trained.

    Attributes:
        minutes: outer bound of the time. A job is bounded by its steps, so that a busy machine trains as much.
        steps: bound of the steps; None chooses by the device and the number of objects.
        batch: annotations at once, shared out among the devices.
        rate: peak learning rate.
        distillation_weight: weight of answering as the base model does on clicks that belong to another image.
        rehearsal: share of scenes from the replay source, where there is one.
        accelerator: as Lightning Fabric understands it.
        devices: how many GPUs (or, without one, processes) learn together.
        seed: of everything random.
    """

    minutes: float = 20.0
    steps: int | None = None
    batch: int = 8
    rate: float = 8e-4
    distillation_weight: float = 1.0
    rehearsal: float = 0.3
    accelerator: str = "auto"
    devices: int = 1
    seed: int = 0

    def lanes(self) -> int:
        """Count the CPU cores that share a batch; 0 where a GPU or several processes learn."""
        on_gpu = self.accelerator != "cpu" and (torch.cuda.is_available() or self.accelerator != "auto")
        return 0 if on_gpu or self.devices > 1 else torch.get_num_threads()

    def recipe(
        self,
        objects: int,
        size: int,
        network: nn.Module | None = None,
        encoding: tuple[str, float] = STANDARD,
    ) -> Recipe:
        """Choose the training recipe for so many objects and an input of `size` pixels of a network that sees
        clicks so.
        """
        fast = self.accelerator != "cpu" and torch.cuda.is_available()
        many = int(np.clip(300 + 4 * objects, 400, 1500)) if fast else CPU_STEPS
        steps = self.steps or many
        sizes = tuple(nearest_size(size * share, network) for share in (0.5, 0.67))
        return Recipe(
            steps=steps,
            minutes=self.minutes,
            batch=max(self.batch // self.devices, 1),
            sizes=sizes,
            warmup=max(min(40, steps // 4), 1),
            rate=self.rate,
            backbone_share=0.5,
            ema=0.97,  # of some hundred steps, a longer mean would remember the first
            seed=self.seed,
            encoding=encoding,
        )


class FineTuner(Trainer):
    """The trainer, with learning without forgetting of a base model.

    Args:
        base: the teacher, whose answers shall be kept; not changed.
        distillation_weight: weight of its answers in the loss.
        lanes: CPU cores that share a batch, see `Lanes`; 0 for none of that, as on a GPU.
        arguments: of `Trainer`.
    """

    save_every_s = 30.0  # so much is lost with a job that is killed

    def __init__(
        self,
        base: nn.Module,
        distillation_weight: float,
        *arguments: object,
        lanes: int = 0,
        **options: object,
    ) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._distillation_weight, self._lanes = distillation_weight, min(lanes, self.recipe.batch)
        self._running: Lanes | None = None
        if self._lanes:
            self._answering = self._plain  # Fabric calls from one thread alone
        self._base = freeze(deepcopy(base)).to(self.fabric.device)
        for network in (self._base, self._plain):
            self._fold(network)

    def _fold(self, network: nn.Module) -> None:
        """Fold the batch norms, whose statistics stay, into the convolutions where that changes no answer."""
        freeze_statistics(network, everywhere=True)
        image, guide = (torch.rand(1, 3, PROBE, PROBE, device=self.fabric.device) for _ in range(2))
        if fold_frozen_norms(network) and not agrees(network, image, guide):
            logger.info("the batch norms of this architecture are not folded: training takes a little longer")

    def run(self) -> Iterator[Progress]:
        """Train as the trainer does; closing the generator saves where it stands."""
        with Lanes(self._lanes) if self._lanes else nullcontext() as self._running:
            try:
                yield from super().run()
            except GeneratorExit:
                self.save()
                raise

    def backward(self, image: Tensor, guide: Tensor, label: Tensor) -> tuple[float, Tensor]:
        """Compute the gradients as the trainer does, or in lanes."""
        freeze_statistics(self._plain, everywhere=True)
        if self._running is None:
            return super().backward(image, guide, label)
        learned = [parameter for parameter in self._plain.parameters() if parameter.requires_grad]
        return self._running.backward(learned, self.loss, image, guide, label)

    def save(self) -> None:
        """Save the state as the trainer does; where that fails, a killed job merely begins anew."""
        try:
            super().save()
        except (OSError, SafetensorError) as error:
            logger.warning("the state of the training is not saved: %s", error)

    def _resume(self, path: Path) -> None:
        """Go on as the trainer does, or begin anew where the state cannot be used: a job has nobody to ask."""
        try:
            super()._resume(path)
        except StateError as error:
            logger.warning("%s is not used, the training begins anew: %s", path, error.__cause__)

    def loss(self, image: Tensor, guide: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Add to the trainer's loss, now and then, the distance to the base model with foreign clicks."""
        apart = self.progress.step % DISTIL_EVERY
        if self._distillation_weight <= 0 or len(image) < 2 or apart:
            return super().loss(image, guide, label)
        batch, count = len(image), max(len(image) // DISTIL_PART, 1)
        again, foreign = image[:count], guide.roll(1, 0)[:count]
        with torch.no_grad(), self.fabric.autocast():
            wanted = torch.sigmoid(self._base(again, foreign).float())
        # Both in one pass: a small one of its own takes almost as long on a CPU.
        logits, auxiliary = self.forward(torch.cat([image, again]), torch.cat([guide, foreign]))
        given, logits = logits[batch:].float(), logits[:batch]
        loss = self.distance(logits, None if auxiliary is None else auxiliary[:batch], label)
        # The cross entropy less its smallest possible value: zero where both agree.
        distance = F.binary_cross_entropy_with_logits(given, wanted)
        floor = F.binary_cross_entropy(wanted, wanted)
        return loss + DISTIL_EVERY * self._distillation_weight * (distance - floor), logits


def tune(
    network: nn.Module,
    base: nn.Module,
    scenes: SceneSource,
    recipe: Recipe,
    effort: Effort,
    on_step: Callable[[Progress], None] = lambda progress: None,
    folder: Path | None = None,
) -> nn.Module:
    """Train a copy of a network and return it, in evaluation mode, on the CPU.

    Args:
        network: where to start.
        base: the teacher of learning without forgetting.
        scenes: draws scenes.
        recipe, effort: see there.
        on_step: called after every step, and once where a training that is gone on with has none left; what it
            raises ends the training.
        folder: where the state is kept; a training found there is gone on with. None keeps nothing.

    Raises:
        FloatingPointError: the loss is no number.
        RuntimeError: not even a small batch fits into memory.
    """
    for attempt in range(OUT_OF_MEMORY + 1):
        smaller = replace(recipe, batch=max(recipe.batch >> attempt, 1))
        try:
            return _once(deepcopy(network), base, scenes, smaller, effort, on_step, folder)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error) or attempt == OUT_OF_MEMORY:
                raise
            logger.warning("out of memory with a batch of %d: trying half of it", smaller.batch)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    raise AssertionError("the last attempt returns or raises")


def _once(
    network: nn.Module,
    base: nn.Module,
    scenes: SceneSource,
    recipe: Recipe,
    effort: Effort,
    on_step: Callable[[Progress], None],
    folder: Path | None,
) -> nn.Module:
    arguments = (network, base, scenes, recipe, effort, folder)
    several = effort.devices > 1
    with closing(spread(effort.devices, _steps, *arguments) if several else _steps(*arguments)) as steps:
        for step in steps:
            if isinstance(step, Progress):
                on_step(step)
            else:
                network.load_state_dict({name: torch.from_numpy(value) for name, value in step.items()})
    return network.cpu().eval()


def _steps(
    network: nn.Module,
    base: nn.Module,
    scenes: SceneSource,
    recipe: Recipe,
    effort: Effort,
    folder: Path | None,
) -> Generator[Progress | dict[str, np.ndarray]]:
    """Train on one device or as one of several; yield the progress, and the averaged weights last."""
    tuner = FineTuner(
        base,
        effort.distillation_weight,
        network,
        scenes,
        recipe,
        folder,
        lanes=effort.lanes(),
        accelerator=effort.accelerator,
        devices=effort.devices,
    )
    if tuner.progress.share >= 1:  # killed when it was over: what was done is still to be told
        yield tuner.progress
    yield from tuner.run()
    yield {name: value.cpu().numpy() for name, value in tuner.averaged.state_dict().items()}


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def with_rehearsal(own: SceneSource, replay: SceneSource | None, share: float) -> SceneSource:
    """Mix scenes of the project with those of a replay source, which are drawn with a chance of `share`."""
    return own if replay is None else partial(_draw_one, own, replay, share)


def _draw_one(own: SceneSource, replay: SceneSource, share: float, rng: np.random.Generator) -> Scene:
    return replay(rng) if rng.random() < share else own(rng)


def interpolate_weights(base: nn.Module, tuned: nn.Module, alpha: float) -> nn.Module:
    """Interpolate two networks of one architecture (WiSE-FT): `alpha` 0 is the base, 1 the tuned one."""
    result, anchor = deepcopy(tuned), base.state_dict()
    with torch.no_grad():
        for name, value in result.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.lerp(anchor[name].to(value), value, alpha))
    return result.eval()
