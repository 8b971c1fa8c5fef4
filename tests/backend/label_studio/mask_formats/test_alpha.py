import numpy as np
import pytest

from backend.label_studio.mask_formats import alpha


def counts(**pixels: int) -> np.ndarray:
    """How many pixels have each value, of names such as v100."""
    found = np.zeros(256, np.int64)
    for name, count in pixels.items():
        found[int(name[1:])] = count
    return found


@pytest.mark.parametrize(
    ("pixels", "lowest"),
    [
        ({"v0": 500, "v255": 100}, 128),
        ({"v0": 500, "v255": 100, "v40": 3, "v90": 4, "v127": 2}, 128),  # a soft edge
        ({"v0": 500, "v100": 100}, 100),  # a faint brush
        ({"v0": 500, "v100": 100, "v255": 100}, 100),  # faint in parts
        ({"v0": 500, "v1": 100}, 1),
        ({"v0": 500, "v90": 3, "v60": 3}, 45),  # too small to tell more
        ({"v0": 500}, 128),
    ],
)
def test_what_the_editor_shows_belongs_to_the_mask(pixels: dict[str, int], lowest: int) -> None:
    assert alpha.lowest(counts(**pixels)) == lowest
