"""Makes the picture of docs/proposals.md: `python -m tests.proposal_pictures` runs a whole job on drawn cells."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from fine_tune.benchmark import __main__ as benchmark
from fine_tune.benchmark.actions import measure_set
from fine_tune.training.fine_tuner import Effort
from model.versions.registry import PACKAGED
from tests.drawn_project import cells
from tests.fine_tune.mask_sets import write_scenes
from tests.pictures import FOLDER

TRAIN, PUBLIC = 30, 20
# From cells that are far apart and clear to crowds of small and faint ones: number, radii, contrast, pixels between.
KINDS = ((5, (14, 26), 45, 15), (10, (10, 20), 35, 6), (20, (6, 14), 22, 1), (24, (5, 9), 12, 0))


def main() -> None:
    """Make the picture, and print the row of the table that it belongs to."""
    with tempfile.TemporaryDirectory() as place:
        scenes = [cells(number, *KINDS[number % len(KINDS)]) for number in range(TRAIN + PUBLIC)]
        folder = write_scenes(Path(place) / "cells", scenes, TRAIN)
        measure_set(folder, TRAIN, PACKAGED, Effort(), "auto", benchmark.show, pictures=FOLDER)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # --help, and nothing else
    main()
