import numpy as np
import torch

from model.engines.flip import FlipTTA, Mirrored
from tests.model.tiny_network import Tiny


def test_flipping_averages_with_the_mirror_image() -> None:
    class Left:
        size, device = 4, "test"

        def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
            out = guide[:, 0].copy()
            out[:, :, 0] += 1  # likes the left column
            return out

    guide = np.zeros((1, 3, 4, 4), np.float32)
    guide[0, 0, :, 1] = 0.5
    result = FlipTTA(Left()).run(np.zeros((1, 4, 4, 3), np.uint8), guide)
    np.testing.assert_allclose(result[0, 0], [0.5, 0.5, 0, 0.5])


def test_logits_are_averaged_with_those_of_the_mirror_image() -> None:
    torch.manual_seed(0)
    network, (image, guide) = Tiny(4).eval(), torch.rand(2, 2, 3, 32, 40)
    with torch.inference_mode():
        logits = Mirrored(network)(image, guide)
        straight, mirrored = network(image, guide), network(image.flip(3), guide.flip(3)).flip(3)
        assert logits.shape == (2, 1, 32, 40)
        assert torch.allclose(logits, (straight + mirrored) / 2, atol=1e-6)
        assert not torch.allclose(straight, mirrored)
