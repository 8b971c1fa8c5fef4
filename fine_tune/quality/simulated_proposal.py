"""A simulated proposal: what the click model answers where the head for proposals would click.

The head has its peak where the automatic clicker clicks first; how far it misses that place is drawn.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fine_tune.quality.simulated_annotation import Subject
from model.click import Click
from model.inference.clean import remove_small_regions
from model.inference.predictor import Predictor
from model.mask_ops import depth_of

MISSED = 0.1  # standard deviation of a peak's place, in sqrt(object area)
WORTH_MENDING = 0.5  # IoU below which an annotator deletes a proposal, as the gate for proposals counts


def with_proposal(subject: Subject, predictor: Predictor, rng: np.random.Generator) -> Subject | None:
    """Return the subject with a proposal to begin with; None where it would be deleted."""
    depth = depth_of(subject.truth)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    height, width = depth.shape
    missed = rng.normal(0, MISSED * np.sqrt(subject.truth.sum()), 2)
    x, y = np.clip((column + missed[0], row + missed[1]), 0, (width - 1, height - 1))
    click = Click(float(x), float(y))
    mask = remove_small_regions(predictor.predict(subject.image, [click], None), [click])
    return replace(subject, proposal=mask) if subject.iou(mask) >= WORTH_MENDING else None
