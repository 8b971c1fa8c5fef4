"""Which objects are trained on, and how they are augmented."""

import cv2
import numpy as np
import pytest

from fine_tune.data.bundle import pack, read
from fine_tune.data.object_sampler import MIN_AREA, ObjectSampler, augment, paste
from tests.fine_tune.mask_sets import write_set
from tests.fine_tune.shape_scenes import shape_scene


@pytest.fixture
def items(tmp_path):
    pack([write_set(tmp_path / name, side=160) for name in ("cats", "dogs")], tmp_path / "b.zip")
    return read(tmp_path / "b.zip")


def test_every_scene_has_an_object_of_fair_size(items):
    sampler, rng = ObjectSampler(items), np.random.default_rng(0)
    for _ in range(30):
        scene = sampler.draw(rng)
        assert MIN_AREA <= scene.truth.sum() <= 0.8 * scene.truth.size
        assert scene.ignore[:2].any()
        assert not (scene.truth & scene.ignore).any()


def test_sets_are_drawn_by_weight(items):
    sampler, rng = ObjectSampler(items, {"cats": 1.0, "dogs": 0.0}), np.random.default_rng(0)
    cats = {item.image for item in items if item.group == "cats"}
    decoded = [i.decode()[0].tobytes() for i in items if i.image in cats]
    assert all(sampler.draw(rng).image.tobytes() in decoded for _ in range(20))


@pytest.mark.parametrize(("gap", "together"), [(20, False), (0, True)])
def test_two_objects_are_meant_together_only_where_they_touch(tmp_path, gap, together):
    folder = write_set(tmp_path / "cats", side=160)
    ids = np.zeros((160, 160), np.uint8)
    ids[40:100, 20:60] = 1
    ids[40:100, 60 + gap : 120] = 2
    for mask in (folder / "masks").iterdir():
        cv2.imwrite(str(mask), ids)
    pack([folder], tmp_path / "b.zip")
    sampler, rng = ObjectSampler(read(tmp_path / "b.zip")), np.random.default_rng(0)
    whole = np.count_nonzero(ids)
    assert any(np.count_nonzero(sampler.draw(rng).truth) == whole for _ in range(60)) == together


def test_nothing_to_train_on_is_said():
    with pytest.raises(ValueError, match="empty"):
        ObjectSampler([])


@pytest.mark.parametrize("seed", range(30))
def test_augmentation_keeps_image_truth_and_ignore_together(seed):
    rng = np.random.default_rng(seed)
    scene = shape_scene(np.random.default_rng(1))
    scene.image[:] = 30
    scene.image[scene.truth] = 220  # now the image shows where the truth is
    changed = augment(scene, rng)
    assert changed.image.shape[:2] == changed.truth.shape == changed.ignore.shape
    assert changed.truth.sum() == scene.truth.sum()  # the crop never cuts the object
    grey = changed.image.mean(2)
    if (~changed.truth).any():
        assert grey[changed.truth].mean() > grey[~changed.truth].mean() + 50


def test_the_same_seed_augments_the_same_way():
    first, second = (
        augment(shape_scene(np.random.default_rng(2)), np.random.default_rng(9)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.image, second.image)


def test_a_pasted_object_is_in_image_and_truth_or_takes_from_the_truth():
    seen = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        base, other = shape_scene(np.random.default_rng(1)), shape_scene(np.random.default_rng(2))
        other.image[:] = 3  # a colour that the base does not have
        mixed = paste(base, other, rng)
        pasted = (mixed.image == 3).all(2)
        assert pasted.any()
        own = bool((mixed.truth & pasted).sum() == 0)
        seen.add(own)
        if own:
            np.testing.assert_array_equal(mixed.truth, base.truth & ~pasted)
        else:
            np.testing.assert_array_equal(mixed.truth, pasted)
    assert seen == {True, False}


def test_of_an_object_and_its_twin_one_is_meant():
    scene = shape_scene(np.random.default_rng(1), 160)
    scene.image[:] = 30
    scene.image[scene.truth] = 220
    for seed in range(10):
        mixed = paste(scene, scene, np.random.default_rng(seed))
        bright = (mixed.image > 128).all(2)
        assert bright[mixed.truth].mean() > 0.9  # the twin's edge is blended
        if cv2.connectedComponents(bright.view(np.uint8))[0] == 3:
            assert mixed.truth[bright].mean() < 0.9
