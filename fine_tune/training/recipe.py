"""How a run is trained, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from model.inference.click_maps import STANDARD
from model.networks import SIZE_STEP


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        steps, minutes: the length; whichever is given ends the run, and the learning rate follows it.
        batch: annotations in progress at once, per device.
        sizes: network input sides, one drawn per batch; several make the model robust to scale.
        late_sizes: those of the last 40 % of the run, () for the same: large inputs are dear, and little of them
            is enough.
        warmup: steps until the rate has its peak; the first steps of AdamW move every weight by the full rate.
        backbone_warmup: the same for the backbone, 0 for `warmup`; long where the layers behind it are new, whose
            first gradients would spoil it.
        rate: peak learning rate of new layers; the pretrained backbone learns at `backbone_share` of it.
        taught: with a teacher, in which first share of the run it is asked; its forward passes cost time.
        teacher_weight: of the teacher's answers in the loss, that of the truth being 1.
        ema: decay of the averaged weights, which are the result.
        groups: batches being prepared or computed at once; 2 keep a device busy while clicks are simulated.
        workers: threads that simulate clicks, per device.
        encoding: name and radius of how the network sees clicks, see `model.inference.click_maps`.
    """

    steps: int | None = None
    minutes: float | None = None
    batch: int = 16
    sizes: tuple[int, ...] = (256, 256, 320)
    late_sizes: tuple[int, ...] = ()
    warmup: int = 200
    backbone_warmup: int = 0
    rate: float = 1e-3
    backbone_share: float = 0.2
    weight_decay: float = 1e-2
    taught: float = 0.5
    teacher_weight: float = 1.0
    ema: float = 0.998
    groups: int = 2
    workers: int = 1
    seed: int = 0
    encoding: tuple[str, float] = STANDARD

    def __post_init__(self) -> None:
        if not max(self.steps or 0, self.minutes or 0) > 0:
            raise ValueError("a recipe needs a length: give steps or minutes")
        sizes = self.sizes + self.late_sizes
        if not self.sizes or any(size <= 0 or size % SIZE_STEP for size in sizes):
            raise ValueError(f"sizes {sizes}: every input side must be a multiple of {SIZE_STEP}")


@dataclass
class Progress:
    """Where a run stands; `share` is 0..1 of its planned length, `loss` a running mean."""

    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    iou: float = 0.0
    share: float = 0.0
