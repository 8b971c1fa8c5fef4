"""A network whose masks do not depend on how exactly a CPU computes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

NAME = "steady"
LEVEL = 1 / 255  # of an image or a map
STEEP = 1e5
BIAS = 10.0


class Steady(nn.Module):
    """Marks red pixels near positive clicks or in the box, and what was marked before; not near negative clicks.

    Every decision is a threshold half way between two levels of 8 bits, and steep: the probabilities are 0 or 1 to
    four digits, and differences of 1e-3 in what the network reads, computes or answers change no pixel.

    Attributes:
        shift: added to image and mask, to prove that.
    """

    shift: ClassVar[float] = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.rules = nn.Conv2d(6, 4, 1)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """Bx3xHxW image and guide in 0..1 -> Bx1xHxW logits."""
        shown = torch.cat([image + self.shift, guide[:, :1] + self.shift, guide[:, 1:]], 1)
        return self.head(torch.relu(self.rules(shown)))


def steady() -> Steady:
    """The network with its weights: inputs red, green, blue, mask, positive and negative clicks."""
    network = Steady()
    rules = (
        ((1, 0, 0, 0, 1, 0), -1 - 127.5 * LEVEL, 1.0),  # a click on red
        ((0, 0, 0, 1, 0, 0), -152.5 * LEVEL, 1.0),  # marked before, more surely than the inside of a box
        ((1, 0, 0, 1, 0, 0), -318.5 * LEVEL, 1.0),  # in a box, and red
        ((0, 0, 0, 0, 0, 1), -0.5, -10.0),
    )
    with torch.no_grad():
        for index, (weights, bias, vote) in enumerate(rules):
            network.rules.weight[index, :, 0, 0] = STEEP * torch.tensor(weights)
            network.rules.bias[index] = STEEP * bias  # type: ignore[index]
            network.head.weight[0, index] = vote
        network.head.bias.fill_(-BIAS)  # type: ignore[union-attr]
    return network.eval()
