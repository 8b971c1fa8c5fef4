"""Learning to propose as a job does it: from a project's images to what a version's card says."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fine_tune.data.encoded_image import EncodedImage
from fine_tune.data.project_samples import LabelledImage, Samples, is_held_out
from fine_tune.proposals import learning
from fine_tune.proposals.learning import LearnedHead, Models, learn
from tests.fine_tune.proposals.disc_proposer import packaged
from tests.fine_tune.proposals.drawn import SIDE, discs
from tests.fine_tune.proposals.flood_fill import FloodFill


def samples(held_out: int, train: int) -> Samples:
    made, seed = Samples(), 0
    wanted = {True: held_out, False: train}
    while any(wanted.values()):
        scene, part = discs(seed), is_held_out(f"scene {seed}")
        if wanted[part]:
            wanted[part] -= 1
            made.add(LabelledImage(f"scene {seed}", scene.image, scene.masks, ["Disc"] * len(scene.masks)))
        seed += 1
    return made


def learned(made: Samples, shares: list[float] | None = None) -> LearnedHead:
    clicks: Any = FloodFill()
    models = Models(packaged(), clicks, clicks)
    return learn(models, made.train, made.held_out, on_share=[].append if shares is None else shares.append)


def test_a_head_that_saves_work_is_offered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learning, "STEPS", 40)
    shares: list[float] = []
    head = learned(samples(4, 4), shares)
    assert head.offered and head.tensors, head.facts["reason"]
    assert head.facts["labels"] == ["Disc"] and head.facts["ratio"] < 0.6
    assert shares == sorted(shares) and shares[-1] == 1


def test_no_more_than_a_few_masks_are_decoded_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learning, "STEPS", 4)
    made, copies = samples(4, 1), 60
    learned(made)  # what is imported on the way is not to be counted
    for part in (made.train, made.held_out):
        part[:] = [replace(image, masks=image.masks * copies, labels=image.labels * copies) for image in part]
    masks_of_an_image = len(made.train[0].masks) * SIDE**2
    tracemalloc.start()
    try:
        learned(made)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < masks_of_an_image / 2


def test_few_held_out_images_train_nothing():
    head = learned(samples(3, 4))
    assert not head.offered and not head.tensors
    assert "only 3 images are held out, at least 4" in head.facts["reason"]


def test_an_image_that_several_tasks_share_is_one_image():
    made = samples(3, 4)
    head = learn(Models(*[None] * 3), made.train, made.held_out * 2)
    assert "only 3 images are held out, at least 4" in head.facts["reason"]


def test_labels_that_cannot_be_proposed_are_not_judged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learning, "STEPS", 4)
    made = samples(4, 4)

    def without(image: EncodedImage, count: int) -> EncodedImage:
        return replace(image, labels=(None,) * count + image.labels[count:])

    for part in (made.train, made.held_out):
        part[:] = [without(image, 1) for image in part]
    head = learned(made)
    assert head.facts["labels"] == ["Disc"]
    assert head.facts["objects"] == sum(len(image.masks) - 1 for image in made.held_out) / 4
    made.held_out[0] = without(made.held_out[0], len(made.held_out[0].masks))
    assert "only 3 images are held out" in learned(made).facts["reason"]
    made.train[:] = [without(image, len(image.masks)) for image in made.train]
    assert learned(made).facts["reason"] == "there is no object to learn from"


def test_what_ends_the_learning_passes_through():
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    made, clicks = samples(4, 4), FloodFill()
    models: Sequence[Any] = (packaged(), clicks, clicks)
    with pytest.raises(KeyboardInterrupt):
        learn(Models(*models), made.train, made.held_out, on_share=stop)
