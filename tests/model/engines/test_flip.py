import numpy as np

from model.engines.flip import FlipTTA


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
