import numpy as np
import torch
from torch import Tensor, nn

from model.engines.base import Probability


class FirstChannel(nn.Module):
    """Answers with the image's red channel and the guide's clicks as logits, in half precision."""

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        return (image[:, :1] - guide[:, 1:2]).half()


def test_raw_pixels_become_probabilities_in_float32():
    image = torch.from_numpy(np.full((2, 4, 6, 3), (255, 0, 7), np.uint8))
    guide = torch.zeros(2, 3, 4, 6)
    guide[1, 1] = 1
    answer = Probability(FirstChannel())(image, guide)
    assert (answer.shape, answer.dtype) == ((2, 4, 6), torch.float32)
    torch.testing.assert_close(answer[0, 0, 0], torch.sigmoid(torch.tensor(1.0)), atol=1e-3, rtol=0)
    assert (answer[1] == 0.5).all()
