"""A set of drawn discs in the layout of public sets."""

from pathlib import Path

from tests.fine_tune.mask_sets import write_scenes
from tests.fine_tune.proposals.drawn import discs


def write_discs(home: Path, train: int, public: int) -> Path:
    """Write images of discs with their masks into `home`/discs; return that folder."""
    scenes = [discs(100 + number) for number in range(train + public)]
    return write_scenes(home / "discs", [(scene.image, scene.masks) for scene in scenes], train)
