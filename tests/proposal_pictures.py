"""Makes the picture of docs/proposals.md: `python -m tests.proposal_pictures` runs a whole job on drawn cells."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np

from fine_tune.benchmark import __main__ as benchmark
from fine_tune.benchmark.actions import measure_set
from fine_tune.training.fine_tuner import Effort
from tests.drawn_project import cells
from tests.pictures import FOLDER

TRAIN, PUBLIC = 30, 20
# From cells that are far apart and clear to crowds of small and faint ones: number, radii, contrast, pixels between.
KINDS = ((5, (14, 26), 45, 15), (10, (10, 20), 35, 6), (20, (6, 14), 22, 1), (24, (5, 9), 12, 0))


def write_set(folder: Path) -> Path:
    """Write drawn cells in the layout of `model.evaluation.datasets`, all kinds in both parts."""
    items = []
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(TRAIN + PUBLIC):
        image, masks = cells(number, *KINDS[number % len(KINDS)])
        ids = np.zeros(image.shape[:2], np.uint8)
        for place, mask in enumerate(masks, 1):
            ids[mask] = place
        cv2.imwrite(str(folder / f"images/{number}.png"), image)
        cv2.imwrite(str(folder / f"masks/{number}.png"), ids)
        items.append({"id": number, "image": f"images/{number}.png", "mask": f"masks/{number}.png"})
    (folder / "items.json").write_text(json.dumps(items))
    parts = {"train": [*range(TRAIN)], "public": [*range(TRAIN, TRAIN + PUBLIC)]}
    (folder / "split.json").write_text(json.dumps(parts))
    return folder


def main() -> None:
    """Make the picture, and print the row of the table that it belongs to."""
    with tempfile.TemporaryDirectory() as place:
        folder = write_set(Path(place) / "cells")
        measure_set(folder, TRAIN, benchmark.WEIGHTS, Effort(), "auto", benchmark.show, pictures=FOLDER)


if __name__ == "__main__":
    main()
