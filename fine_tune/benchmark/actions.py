"""Do proposals save work? Run a whole job on some images of a set, and count actions on images of its other part."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fine_tune.benchmark.proposal_picture import Judged, draw
from fine_tune.benchmark.sets import read_complete, read_images, read_shuffled
from fine_tune.benchmark.whole_job import run_job
from fine_tune.project.phases import PROPOSE
from fine_tune.proposals.gate import measure_image
from fine_tune.training.fine_tuner import Effort
from model.engines.factory import create_engine
from model.proposals.trained import load_proposer
from model.versions import checkpoint
from model.versions.assemble import assemble

JUDGED = 20  # images of the public part
OBJECTS = 12  # of each kind are clicked by hand on each of them
COLUMNS = ("set", "images", "offered", "by hand", "actions", "ratio", "learning s", "image s", "reason")
Note = Callable[[dict[str, Any]], None]


def measure_set(
    folder: Path,
    count: int,
    weights: Path,
    effort: Effort,
    device: str,
    note: Note,
    shuffle: bool = False,
    pictures: Path | None = None,
) -> None:
    """Learn from `count` images and count actions on the public part; `note` gets one row by column.

    Args:
        weights: folder of the base model.
        shuffle: give every image the masks of another one, as a control that must not be offered.
        pictures: folder for a picture of good and bad cases; None draws none.
    """
    samples = read_shuffled(folder, count) if shuffle else read_images(folder, count)
    with run_job(weights, samples, effort, device) as job:
        facts = job.outcome.metrics.get("proposals", {"offered": False, "reason": job.outcome.reason})
        name = folder.name + (", shuffled" if shuffle else "")
        values: list[Any] = [name, count, "yes" if facts["offered"] else "no"]
        seconds = 60 * job.minutes.get(PROPOSE, 0.0)
        if job.proposing is None:
            values += ["", "", 1.0, seconds, ""]
        else:
            judged, each = measure_version(job.proposing, folder, device)
            hand = float(np.mean([image.counted.by_hand for image in judged]))
            actions = float(np.mean([image.actions for image in judged]))
            values += [hand, actions, actions / hand, seconds, each]
            if pictures is not None:
                title = f"Proposals of a model that learned from {count} images of {name}"
                draw(pictures / f"{folder.name}-{count}.webp", title, judged)
        note(dict(zip(COLUMNS, [*values, facts["reason"]], strict=True)))


def measure_version(version: Path, folder: Path, device: str) -> tuple[list[Judged], float]:
    """Measure a version whose proposals are offered on a set's public part.

    Returns:
        The images, and the seconds that proposing took (median).
    """
    loaded, engine = checkpoint.load(version), partial(create_engine, device=device, graphs=False)
    proposer, predictor = load_proposer(version, loaded, engine), assemble(loaded, None, engine)
    assert proposer is not None, "its card says so"
    judged, seconds = list[Judged](), list[float]()
    for truth in read_complete(folder, "public", JUDGED):
        began = time.monotonic()
        proposals = proposer.propose(truth.image)
        seconds.append(time.monotonic() - began)
        judged.append(Judged(truth, proposals, measure_image(proposals, predictor, truth, OBJECTS)))
    return judged, float(np.median(seconds))
