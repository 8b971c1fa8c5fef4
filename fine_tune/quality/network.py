"""From steps to a predicted IoU: a few small recurrent networks over the clicks, and boosted trees beside them.

Each network reads the steps with a GRU and joins its last state to the features of the whole annotation; it answers
with a Beta distribution of the IoU. The trees read the features of the whole only, and err elsewhere: their answer
weighs as much as that of all networks. Where they disagree the prediction is less certain.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils.rnn import pack_padded_sequence

from fine_tune.quality.features import STEP_NAMES, WHOLE_NAMES, step_rows, whole_row
from fine_tune.quality.steps import Step
from fine_tune.quality.trees import Trees

WEIGHTS = Path(__file__).parents[1] / "weights" / "quality.safetensors"
MAX_STEPS = 40  # of a longer annotation the last ones count


@dataclass(frozen=True)
class Trace:
    """How one mask came about.

    Attributes:
        steps: one for each answered request.
        edited: 1 - IoU of the accepted mask with the last answer.
        proposed: whether it began as a proposal, and not with a click.
    """

    steps: Sequence[Step]
    edited: float = 0.0
    proposed: bool = False


@dataclass(frozen=True)
class Quality:
    """Predicted IoU with the truth, 0..1, and the standard deviation of that prediction."""

    iou: float
    uncertainty: float


@dataclass(frozen=True)
class Batch:
    """Traces as tensors: steps BxTxF float32 (zero beyond a trace's length), lengths B int64, whole BxG float32."""

    steps: Tensor
    lengths: Tensor
    whole: Tensor

    @staticmethod
    def of(traces: Sequence[Trace]) -> Batch:
        """Compute the features of traces that have at least one step each."""
        rows = [torch.from_numpy(step_rows(trace.steps)[-MAX_STEPS:]) for trace in traces]
        whole = np.stack([whole_row(trace.steps, trace.edited, trace.proposed) for trace in traces])
        lengths = torch.tensor([len(row) for row in rows])
        return Batch(nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths, torch.from_numpy(whole))

    def __getitem__(self, index: Tensor) -> Batch:
        longest = int(self.lengths[index].max())
        return Batch(self.steps[index, :longest], self.lengths[index], self.whole[index])


class Member(nn.Module):
    """One network; `forward` gives mean (0..1) and concentration (> 2) of a Beta distribution, both B."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(len(STEP_NAMES), hidden, batch_first=True)
        self.head = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(hidden + len(WHOLE_NAMES), 32), nn.ReLU(), nn.Linear(32, 2)
        )

    def forward(self, steps: Tensor, lengths: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """See the class; the arguments are those of `Batch`, standardised."""
        packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
        _, state = self.gru(packed)
        mean, concentration = self.head(torch.cat([state[0], whole], 1)).unbind(1)
        return torch.sigmoid(mean), 2 + softplus(concentration)


class QualityModel(nn.Module):
    """The members, the scale of their features, and the trees."""

    def __init__(self, members: int = 4, hidden: int = 24, trees: int = 400) -> None:
        super().__init__()
        self.shape = {"members": members, "hidden": hidden, "trees": trees}
        self.trees = Trees(trees)
        self.members = nn.ModuleList(Member(hidden) for _ in range(members))
        for name, size in (("steps", len(STEP_NAMES)), ("whole", len(WHOLE_NAMES))):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def fit_scale(self, batch: Batch) -> None:
        """Take mean and scale of every feature from training data."""
        present = torch.arange(batch.steps.shape[1])[None] < batch.lengths[:, None]
        for name, values in (("steps", batch.steps[present]), ("whole", batch.whole)):
            self.get_buffer(f"{name}_mean").copy_(values.mean(0))
            self.get_buffer(f"{name}_scale").copy_(values.std(0).clamp(min=1e-3))

    def standardised(self, batch: Batch) -> Batch:
        """Bring features to mean 0 and scale 1, cut at 5."""
        scaled = [
            ((values - self.get_buffer(f"{name}_mean")) / self.get_buffer(f"{name}_scale")).clamp(-5, 5)
            for name, values in (("steps", batch.steps), ("whole", batch.whole))
        ]
        return Batch(scaled[0], batch.lengths, scaled[1])

    @torch.inference_mode()
    def predict(self, traces: Sequence[Trace]) -> list[Quality]:
        """Predict the quality of finished annotations.

        Raises:
            ValueError: a trace has no steps.
        """
        if not traces:
            return []
        means, concentrations, trees = self.opinions(Batch.of(traces))
        mean = (means.mean(0) + trees) / 2
        spread = ((means - mean) ** 2).mean(0) / 2 + (trees - mean) ** 2 / 2
        variance = (means * (1 - means) / (concentrations + 1)).mean(0) + spread
        return [Quality(float(m), float(v)) for m, v in zip(mean, variance.sqrt(), strict=True)]

    @torch.inference_mode()
    def opinions(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return means and concentrations of the M members, MxB float64, and the trees' answers, B float64."""
        self.eval()
        scaled = self.standardised(batch)
        answers = [member(scaled.steps, scaled.lengths, scaled.whole) for member in self.members]
        means, concentrations = (torch.stack(parts).double() for parts in zip(*answers, strict=True))
        return means, concentrations, self.trees(batch.whole).double().clamp(0, 1)

    def save(self, path: Path, card: dict[str, object]) -> None:
        """Write weights and card (what it was trained on, what it reached) into one file."""
        tensors = {name: value.detach().contiguous() for name, value in self.state_dict().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(save(tensors, {"shape": json.dumps(self.shape), "card": json.dumps(card)}))

    @staticmethod
    def load(path: Path = WEIGHTS) -> QualityModel:
        """Read what `save` wrote; by default the model that is shipped.

        Raises:
            ValueError: not such a file, or one for other features.
        """
        try:
            with safe_open(path, "pt") as file:
                model = QualityModel(**json.loads(file.metadata()["shape"]))
                model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"{path} holds no quality model of this version ({error}); make one with "
                "`python -m fine_tune.quality train`"
            ) from error
        return model.eval()


def card(path: Path = WEIGHTS) -> dict[str, object]:
    """Return the card of a saved model."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["card"])
