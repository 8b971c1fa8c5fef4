"""Sets as completely annotated images, and the control that must not pass."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fine_tune.proposals.benchmark import read_part, shuffled
from tests.fine_tune.mask_sets import write_set
from tests.fine_tune.proposals.drawn import discs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path / "cats", images=6)


def test_a_part_is_read_with_all_objects_and_what_counts_nowhere(folder: Path):
    mask = cv2.imread(str(folder / "masks" / "5.png"), cv2.IMREAD_GRAYSCALE)
    mask[-10:, -10:] = 2
    cv2.imwrite(str(folder / "masks" / "5.png"), mask)
    (image,) = read_part(folder, "val", 10)
    assert image.image.shape == (96, 96, 3)
    assert [int(m.sum()) for m in image.masks] == [int((mask == 1).sum()), 100]
    assert list(image.labels) == [0, 0]
    assert image.ignore is not None and image.ignore[:2].all() and not image.ignore[2:].any()


def test_the_same_images_are_drawn_every_time(folder: Path):
    one, again, more = (read_part(folder, "train", count) for count in (3, 3, 10))
    assert len(one) == 3 and len(more) == 5, "the part has no more"
    for image, other in zip(one, again, strict=True):
        np.testing.assert_array_equal(image.image, other.image)


def test_a_mask_that_is_gone_is_named(folder: Path):
    entry = json.loads((folder / "items.json").read_text())[5]
    (folder / entry["mask"]).unlink()
    with pytest.raises(SystemExit, match="the mask of 5 cannot be read"):
        read_part(folder, "val", 1)


def test_shuffled_images_have_the_masks_of_the_next_one():
    images = [discs(seed) for seed in range(3)]
    made = shuffled(images)
    for place, image in enumerate(made):
        np.testing.assert_array_equal(image.image, images[place].image)
        other = images[(place + 1) % 3]
        assert len(image.masks) == len(other.masks)
        np.testing.assert_array_equal(image.masks[0], other.masks[0])
