"""Objects of annotations, split by image."""

import hashlib

import numpy as np
import pytest

from fine_tune.data.project_samples import MAX_SIDE, LabelledImage, Samples, held_out_share, is_held_out
from tests.fine_tune.shape_scenes import shape_scene


def labelled(name: str, seed: int = 0) -> LabelledImage:
    scene = shape_scene(np.random.default_rng(seed))
    return LabelledImage(name, scene.image, [scene.truth])


def names(held_out: bool, count: int) -> list[str]:
    return [n for n in map(str, range(1000)) if is_held_out(n) is held_out][:count]


def test_the_split_follows_the_image_alone():
    samples = Samples()
    (kept,), (judged,) = names(False, 1), names(True, 1)
    for _ in range(3):
        samples.add(labelled(kept))
        samples.add(labelled(judged))
    assert {k.name for k in samples.train} == {kept}
    assert {k.name for k in samples.held_out} == {judged}


@pytest.mark.parametrize("share", [1 / 5, 1 / 4, 1 / 3])
def test_the_share_is_held_out(share: float):
    assert abs(np.mean([is_held_out(str(n), share) for n in range(5000)]) - share) < 0.02


def test_fewer_images_hold_out_more_of_them():
    shares = [held_out_share(images) for images in (0, 10, 30, 60, 75, 1000)]
    assert shares == [1 / 3, 1 / 3, 1 / 3, 1 / 4, 1 / 5, 1 / 5]


def test_what_was_trained_on_is_not_held_out_when_the_project_grows():
    parts = [{n for n in map(str, range(2000)) if is_held_out(n, held_out_share(k))} for k in (30, 60, 75)]
    assert parts[0] > parts[1] > parts[2]


def test_samples_hold_out_their_share():
    name = next(n for n in map(str, range(1000)) if is_held_out(n, 1 / 3) and not is_held_out(n))
    few, many = Samples(1 / 3), Samples()
    few.add(labelled(name))
    many.add(labelled(name))
    assert (len(few.held_out), len(many.held_out)) == (1, 0)


def test_what_was_trained_on_is_not_held_out_whatever_the_share():
    (name,) = names(True, 1)
    samples = Samples(1 / 3, frozenset({name}))
    samples.add(labelled(name))
    assert (len(samples.train), len(samples.held_out)) == (1, 0)


def test_masks_come_back_as_they_were():
    samples = Samples()
    given = labelled(names(True, 1)[0], 3)
    samples.add(given)
    (sample,) = samples.judged(10)
    scene = sample.load()
    assert np.array_equal(scene.truth, given.masks[0])
    assert np.abs(scene.image.astype(int) - given.image).mean() < 4  # JPEG


def test_large_images_are_shrunk_with_their_masks():
    image = np.zeros((600, 2 * MAX_SIDE, 3), np.uint8)
    mask = np.zeros(image.shape[:2], bool)
    mask[200:400, MAX_SIDE:] = True
    samples = Samples()
    samples.add(LabelledImage(names(True, 1)[0], image, [mask]))
    scene = samples.judged(1)[0].load()
    assert scene.image.shape == (300, MAX_SIDE, 3)
    assert scene.truth.mean() == mask.mean()


def test_specks_and_whole_images_are_no_objects():
    image = np.zeros((100, 100, 3), np.uint8)
    speck, everything = np.zeros((100, 100), bool), np.ones((100, 100), bool)
    speck[:5, :5] = True
    samples = Samples()
    samples.add(LabelledImage(names(False, 1)[0], image, [speck, everything], place="task 7"))
    samples.add(LabelledImage(names(False, 2)[1], image, [speck], place="task 8"))
    assert samples.count()["train_images"] == 0
    few, many = samples.odd()
    assert few.startswith("2 of the objects") and "smaller than 40 pixels" in few and few.endswith("task 7")
    assert many.startswith("1 of the objects") and "more than 95 % of the image" in many
    assert Samples().odd() == []


def test_where_objects_are_that_are_too_small_stays_known():
    image = np.zeros((900, 3 * MAX_SIDE, 3), np.uint8)
    speck, hair, thing, everything = masks = np.zeros((4, *image.shape[:2]), bool)
    speck[300:315, 300:315] = hair[700, 100:900] = thing[100:200, 100:200] = everything[:] = True
    samples = Samples(0.0)
    samples.add(LabelledImage("both", image, list(masks), ["speck", "hair", "thing", "everything"]))
    samples.add(LabelledImage("none", image, [thing, everything]))
    both, none = samples.train
    assert both.labels == ("thing",) and none.decode_specks() is None
    known = (speck | hair).reshape(300, 3, MAX_SIDE, 3).any((1, 3))
    np.testing.assert_array_equal(both.decode_specks(), known)


def test_judged_objects_are_spread_over_the_images():
    samples = Samples()
    for place, name in enumerate(names(True, 3)):
        scenes = [shape_scene(np.random.default_rng(place * 10 + i)) for i in range(4)]
        samples.add(LabelledImage(name, scenes[0].image, [s.truth for s in scenes]))
    chosen = [sample.id for sample in samples.judged(6)]
    assert len(set(chosen)) == 6
    assert sorted(i.split("#")[0] for i in chosen) == sorted(2 * [k.name for k in samples.held_out])
    assert len({s.id for s in samples.judged(100)}) == 12


def test_the_oldest_images_do_not_judge_alone():
    samples, digests = Samples(), [hashlib.sha256(b"%d" % n).hexdigest() for n in range(400)]
    held_out = [digest for digest in digests if is_held_out(digest)]
    for digest in held_out:
        samples.add(labelled(digest, 1))
    chosen = {sample.id.partition("#")[0] for sample in samples.judged(12)}
    assert len(chosen) == 12 and chosen & set(held_out[:40]) and chosen & set(held_out[40:])
    assert len(held_out) == len(samples.held_out) == pytest.approx(80, abs=25)


def test_an_image_that_two_tasks_share_is_one_image_to_the_gate():
    samples = Samples()
    (name,) = names(True, 1)
    samples.add(labelled(name, 1))
    samples.add(labelled(name, 1))
    first, second = (sample.id for sample in samples.judged(10))
    assert first != second
    assert first.partition("#")[0] == second.partition("#")[0] == name


def test_only_the_train_part_is_drawn():
    samples = Samples()
    samples.add(labelled(names(False, 1)[0], 1))
    image, mask = np.zeros((9, 16, 3), np.uint8), np.ones((9, 16), bool)
    mask[:, 12:] = False
    samples.add(LabelledImage(names(True, 1)[0], image, [mask]))
    assert len(samples.train) == len(samples.held_out) == 1
    rng = np.random.default_rng(0)
    for _ in range(20):
        scene = samples.draw(rng)
        assert scene.image.shape[0] > 9
        assert scene.truth.any()
