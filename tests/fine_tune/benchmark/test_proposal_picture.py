"""The picture of good and bad cases: which images are shown, and in which colours."""

from pathlib import Path

import cv2
import numpy as np

from fine_tune.benchmark.proposal_picture import Judged, draw
from fine_tune.proposals.gate import ImageActions, Scored
from fine_tune.proposals.training import CompleteImage
from model.click import Click
from model.proposals.propose import Proposal
from tests.fine_tune.proposals.drawn import discs


def judged(seed: int, ious: list[float], saving: float = 2.0) -> Judged:
    """An image of discs of which so many are proposed, with these IoUs."""
    scene = discs(seed)
    truth = CompleteImage(np.zeros_like(scene.image), scene.masks, scene.labels)
    shapes = [(mask, iou) for mask, iou in zip(scene.masks, ious, strict=False)]
    proposals = [Proposal(Click(0, 0), 0, 0.9, mask) for mask, _ in shapes]
    counted = [Scored(0, 0.9, saving, iou) for _, iou in shapes]
    return Judged(truth, proposals, ImageActions(len(scene.masks), 3.0 * len(scene.masks), counted))


def colours(path: Path) -> set[str]:
    """Which of the outlines' colours are in a picture."""
    image = cv2.imread(str(path))
    assert image is not None
    named = {"green": (0, 192, 64), "orange": (255, 176, 0), "red": (255, 32, 32)}
    return {name for name, rgb in named.items() if (image[..., ::-1] == rgb).all(-1).any()}


def test_actions_are_clicks_less_what_is_saved():
    assert judged(0, [0.9, 0.9]).actions == judged(0, []).counted.by_hand - 4


def test_good_poor_and_false_proposals_have_their_colours(tmp_path):
    draw(tmp_path / "good.png", "good", [judged(0, [0.9])])
    assert colours(tmp_path / "good.png") == {"green"}
    draw(tmp_path / "bad.png", "bad", [judged(0, [0.6, 0.0])])
    assert colours(tmp_path / "bad.png") == {"orange", "red"}


def test_best_median_and_worst_are_shown(tmp_path):
    best, middle, worst = judged(0, [0.9], 2.0), judged(1, [0.6], 1.0), judged(2, [0.0], -1.0)
    many = [best, middle, middle, middle, worst]
    draw(tmp_path / "three.png", "three", many)
    assert colours(tmp_path / "three.png") == {"green", "orange", "red"}
    draw(tmp_path / "one.png", "one", [best])
    image, three = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("one", "three"))
    assert three.shape[1] > 2 * image.shape[1]
